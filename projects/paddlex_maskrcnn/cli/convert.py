"""``convert``: a data set in another format; the original stays as it is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..data.datasets.base import DetectionDataset

HELP = "write a data set in another format"
FORMATS = ("coco", "labelme", "voc", "yolo", "easydata")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    source = "coco: the json; yolo: data.yaml; labelme, voc, easydata: the folder"
    add("--from", dest="source_format", required=True, choices=FORMATS)
    add("source", type=Path, metavar="SOURCE", help=source)
    add("--to", dest="target_format", required=True, choices=FORMATS)
    add("out", type=Path, metavar="OUT", help="coco: the json; others: a new folder")
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
    images = "put the pictures beside the annotations; coco leaves them where they are otherwise"
    add("--images", choices=("copy", "symlink"), help=images)
    skip = "leave out annotations that cannot be used, and list them"
    add("--skip-invalid", action="store_true", help=skip)
    add("--force", action="store_true", help="replace files of the same names")


def run(arguments: argparse.Namespace) -> int:
    """Read, write, and say how the result is read and what was lost."""
    from ..data.convert.convert import convert

    dataset = _open(arguments)
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


def _open(arguments: argparse.Namespace) -> DetectionDataset:
    from .. import datasets

    source, skip = arguments.source, {"skip_invalid": arguments.skip_invalid}
    if arguments.source_format == "coco":
        return datasets.CocoDetection(arguments.data_dir or source.parent, source, **skip)
    if arguments.source_format == "yolo":
        return datasets.YoloSegmentation(source, arguments.split, **skip)
    labels = arguments.labels or source / "labels.txt"
    if arguments.source_format == "labelme":
        label_file = labels if arguments.labels or labels.is_file() else None
        return datasets.LabelMeDetection(source, label_file, image_dir=arguments.image_dir, **skip)
    kinds = {"voc": datasets.VOCDetection, "easydata": datasets.EasyDataDet}
    file_list = arguments.file_list or source / f"{arguments.split}_list.txt"
    return kinds[arguments.source_format](source, file_list, labels, **skip)
