"""``convert``: a data set in another format; the original stays as it is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..data.datasets.base import DetectionDataset

HELP = "write a data set in another format"
FORMATS = ("coco", "labelme", "voc", "yolo", "easydata")
# as the sections of experiment files call them
_TYPES = {
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
    add("--force", action="store_true", help="replace files of the same names")


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a data set of any format."""
    add = parser.add_argument
    words = "format of SOURCE, or its type in experiment files (needed for folders only)"
    add("--from", dest="source_format", type=as_format, choices=FORMATS, help=words)
    source = "coco: the json; yolo: data.yaml; labelme, voc, easydata: the folder"
    add("source", type=Path, metavar="SOURCE", help=source)
    for name, metavar, text in (
        ("--data-dir", "DIR", "coco: where file names start from (default: the json's folder)"),
        ("--image-dir", "DIR", "labelme: where the pictures are, if elsewhere"),
        ("--file-list", "FILE", "voc, easydata: list of images (default: SOURCE/SPLIT_list.txt)"),
        (
            "--labels",
            "FILE",
            "class names (voc, easydata: SOURCE/labels.txt; labelme: all there are)",
        ),
    ):
        add(name, metavar=metavar, help=text)
    add("--split", default="train", help="part that is read and written (default: train)")
    skip = "leave out annotations that cannot be used, and list them"
    add("--skip-invalid", action="store_true", help=skip)


def as_format(name: str) -> str:
    """A format by its name here, or by the `type` of data sets in experiment files."""
    return _TYPES.get(name.lower(), name.lower())


def source_format(arguments: argparse.Namespace) -> str:
    """The format of SOURCE, by its name where nothing says it.

    Raises:
        ValueError: where the name does not say it either.
    """
    if arguments.source_format:
        return str(arguments.source_format)
    by_suffix = {".json": "coco", ".yaml": "yolo", ".yml": "yolo"}
    suffix = arguments.source.suffix.lower()
    if suffix not in by_suffix:
        raise ValueError(
            f"{arguments.source} may be of several formats: say which with --from "
            f"({', '.join(FORMATS)})"
        )
    return by_suffix[suffix]


def run(arguments: argparse.Namespace) -> int:
    """Read, write, and say how the result is read and what was lost."""
    from ..data.convert.convert import convert

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
    )
    print(f"wrote {arguments.out}: {done.images} images, {done.objects} annotations")
    for words, count in done.lost.items():
        print(f"  {count} {words}")
    print(f"read it with pdx.datasets.{done.reader}")
    return 0


def open_source(arguments: argparse.Namespace) -> DetectionDataset:
    """The data set that the source arguments name.

    Raises:
        ValueError: with everything that is wrong with it.
    """
    from .. import datasets

    source, skip = arguments.source, {"skip_invalid": arguments.skip_invalid}
    form = source_format(arguments)
    if form == "coco":
        return datasets.CocoDetection(arguments.data_dir or source.parent, source, **skip)
    if form == "yolo":
        return datasets.YoloSegmentation(source, arguments.split, **skip)
    labels = arguments.labels or source / "labels.txt"
    if form == "labelme":
        label_file = labels if arguments.labels or labels.is_file() else None
        return datasets.LabelMeDetection(source, label_file, image_dir=arguments.image_dir, **skip)
    kinds = {"voc": datasets.VOCDetection, "easydata": datasets.EasyDataDet}
    file_list = arguments.file_list or source / f"{arguments.split}_list.txt"
    return kinds[form](source, file_list, labels, **skip)
