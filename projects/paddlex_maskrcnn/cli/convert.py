"""``convert``: a data set in another format; the original stays as it is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..data.datasets.base import DetectionDataset

HELP = "write a data set in another format"
FORMATS = ("coco", "labelme", "voc", "yolo", "easydata")
SOURCE_FORMATS = (*FORMATS, "cvat", "labelstudio")
# as the sections of experiment files call them
_TYPES = {
    "cvatdetection": "cvat",
    "labelstudiodetection": "labelstudio",
    "cocodetection": "coco",
    "labelmedetection": "labelme",
    "vocdetection": "voc",
    "yolosegmentation": "yolo",
    "easydatadet": "easydata",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_source_arguments(parser)
    add("--to", dest="target_format", required=True, type=as_format, choices=FORMATS)
    add("out", type=Path, metavar="OUT", help="coco: the json; others: a new folder")
    images = "put the pictures beside the annotations; coco leaves them where they are otherwise"
    add("--images", choices=("copy", "symlink"), help=images)
    folder = (
        "coco with --images: their folder, from which names in the json start (default: the json's)"
    )
    add("--images-to", type=Path, metavar="DIR", help=folder)
    add("--force", action="store_true", help="replace files of the same names")


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a data set of any format."""
    add = parser.add_argument
    words = "format of SOURCE, or its type in experiment files (default: what it is recognised as)"
    add("--from", dest="source_format", type=as_format, choices=SOURCE_FORMATS, help=words)
    source = "coco, labelstudio: the json; cvat: the xml; yolo: data.yaml; or the folder or archive"
    add("source", type=Path, metavar="SOURCE", help=source)
    for name, metavar, text in (
        (
            "--data-dir",
            "DIR",
            "coco, cvat, labelstudio: where the pictures are (default: the file's folder)",
        ),
        ("--image-dir", "DIR", "labelme: where the pictures are, if elsewhere"),
        (
            "--file-list",
            "FILE",
            "voc, easydata: list of images (default: SOURCE/SPLIT_list.txt, or all if there is no list)",
        ),
        (
            "--labels",
            "FILE",
            "class names (default: SOURCE/labels.txt, or all that occur)",
        ),
    ):
        add(name, metavar=metavar, help=text)
    add("--split", default="train", help="part that is read and written (default: train)")
    skip = "leave out annotations that cannot be used, and list them"
    add("--skip-invalid", action="store_true", help=skip)


def as_format(name: str) -> str:
    """A format by its name here, or by the `type` of data sets in experiment files."""
    return _TYPES.get(name.lower(), name.lower())


def complete_source(arguments: argparse.Namespace) -> None:
    """Fill in the format of SOURCE where nothing says it, and of a folder or archive what it holds.

    Raises:
        ValueError: where it is not recognised.
    """
    from ..data.archive import as_folder, is_archive

    if arguments.source_format:
        arguments.source = as_folder(arguments.source)
        return
    if arguments.source.is_dir() or is_archive(arguments.source):
        _recognize(arguments)
        return
    if not arguments.source.exists():
        raise ValueError(f"there is no {str(arguments.source)!r}")
    by_suffix = {".json": "coco", ".yaml": "yolo", ".yml": "yolo", ".xml": "cvat"}
    suffix = arguments.source.suffix.lower()
    if suffix not in by_suffix:
        raise ValueError(
            f"{arguments.source} may be of several formats: say which with --from "
            f"({', '.join(SOURCE_FORMATS)})"
        )
    arguments.source_format = by_suffix[suffix]
    if suffix == ".json" and _begins_a_list(arguments.source):
        arguments.source_format = "labelstudio"


def _begins_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(100).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _recognize(arguments: argparse.Namespace) -> None:
    """The part of a folder that --split names, or the only one."""
    from ..data.source import recognize

    source = recognize(arguments.source)
    print(*source.lines(arguments.source), sep="\n")
    roles = {part.role for part in source.parts}
    wanted = arguments.split if arguments.split in roles else next(iter(roles))
    parts = [part for part in source.parts if part.role == wanted]
    if len(parts) > 1 or (len(roles) > 1 and wanted != arguments.split):
        listed = ", ".join(
            str(part.role or next(iter(part.arguments.values()))) for part in source.parts
        )
        raise ValueError(
            f"{arguments.source} has several parts ({listed}): name its file, or --split"
        )
    (part,) = parts
    given = part.arguments
    arguments.source_format = as_format(part.type)
    arguments.source = Path(given.get("ann_file") or given.get("data_yaml") or given["data_dir"])
    arguments.data_dir = arguments.data_dir or given.get("data_dir")
    arguments.file_list = arguments.file_list or given.get("file_list")
    arguments.labels = arguments.labels or given.get("label_list")


def run(arguments: argparse.Namespace) -> int:
    """Read, write, and say how the result is read and what was lost."""
    from ..data.convert.convert import convert

    if arguments.images_to and (arguments.target_format != "coco" or not arguments.images):
        raise ValueError("--images-to goes with --to coco and --images")
    complete_source(arguments)
    dataset = open_source(arguments)
    print(dataset.describe())
    done = convert(
        dataset,
        arguments.target_format,
        arguments.out,
        images=arguments.images,
        split=arguments.split,
        force=arguments.force,
        originals=[arguments.source],
        image_dir=arguments.images_to,
    )
    print(f"wrote {arguments.out}: {done.images} images, {done.objects} annotations")
    for words, count in done.lost.items():
        print(f"  {count} {words}")
    print(f"read it with pdx.datasets.{done.reader}")
    return 0


def open_source(arguments: argparse.Namespace) -> DetectionDataset:
    """The data set that the source arguments name, once they are complete.

    Raises:
        ValueError: with everything that is wrong with it.
    """
    from .. import datasets

    source, skip = arguments.source, {"skip_invalid": arguments.skip_invalid}
    form = arguments.source_format
    if form == "coco":
        return datasets.CocoDetection(arguments.data_dir or source.parent, source, **skip)
    exports = {"cvat": datasets.CvatDetection, "labelstudio": datasets.LabelStudioDetection}
    if form in exports:
        folder = arguments.data_dir or source.parent
        return exports[form](folder, source, arguments.labels, **skip)
    if form == "yolo":
        return datasets.YoloSegmentation(source, arguments.split, **skip)
    label_file = source / "labels.txt"
    labels = arguments.labels or (label_file if label_file.is_file() else None)
    if form == "labelme":
        return datasets.LabelMeDetection(source, labels, image_dir=arguments.image_dir, **skip)
    kinds = {"voc": datasets.VOCDetection, "easydata": datasets.EasyDataDet}
    has_lists = any(source.glob("*_list.txt"))
    default = source / f"{arguments.split}_list.txt" if has_lists else None
    return kinds[form](source, arguments.file_list or default, labels, **skip)
