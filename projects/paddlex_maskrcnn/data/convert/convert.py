"""A data set written in another format, and what was lost on the way."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..datasets.base import DetectionDataset
from ..datasets.problems import DatasetError
from . import images as pictures
from .coco_writer import coco_json, common_folder
from .easydata_writer import write_easydata
from .output import fresh_folder, keep_apart, write_file
from .voc_writer import write_voc
from .writers import write_labelme
from .yolo_writer import write_yolo

FORMATS = ("coco", "labelme", "voc", "yolo", "easydata")


@dataclass(frozen=True)
class Converted:
    """What a conversion left behind.

    Attributes:
        images, objects: how many were written.
        lost: what the format has no words for -> how often it was there.
        reader: how the result is read, as Python.
    """

    images: int
    objects: int
    reader: str
    lost: Counter[str] = field(default_factory=Counter)


def convert(
    dataset: DetectionDataset,
    form: str,
    out: Path,
    *,
    images: str | None = None,
    split: str = "train",
    force: bool = False,
    originals: Sequence[str | os.PathLike[str]] = (),
) -> Converted:
    """Write a data set in another format; it is not changed itself.

    Args:
        form: one of FORMATS.
        out: for coco the json, otherwise a folder.
        images: 'copy' or 'symlink' puts the pictures beside the annotations; None leaves them where
            they are, which only coco can (the others copy).
        split: the part of the set that this is, in formats that name it.
        force: replace files of the same names, though never what was read.
        originals: the annotation files and folders that the data set was read from.

    Raises:
        DatasetError: if the place is taken, or the pictures have to be written and may not.
    """
    objects = len(dataset.records.classes)
    keep_apart(out, [*originals, *(one["file_name"] for one in dataset.records)])
    if form == "coco":
        return Converted(dataset.num_samples, objects, _coco(dataset, out, images, force))
    lost: Counter[str] = Counter()
    with fresh_folder(out, force) as folder:
        how = images or "copy"
        if form == "yolo":
            lost = write_yolo(dataset, folder, how, split)
            reader = f"YoloSegmentation({str(out / 'data.yaml')!r}, {split!r})"
        elif form == "labelme":
            write_labelme(dataset, folder, how)
            reader = f"LabelMeDetection({str(out)!r}, {str(out / 'labels.txt')!r})"
        else:
            write = {"voc": write_voc, "easydata": write_easydata}[form]
            lost = write(dataset, folder, how, split) or lost
            name = {"voc": "VOCDetection", "easydata": "EasyDataDet"}[form]
            lists = f"{str(out / f'{split}_list.txt')!r}, {str(out / 'labels.txt')!r}"
            reader = f"{name}({str(out)!r}, {lists})"
    left_out = sum(count for words, count in lost.items() if "left out" in words)
    return Converted(dataset.num_samples, objects - left_out, reader, lost)


def _coco(dataset: DetectionDataset, out: Path, images: str | None, force: bool) -> str:
    if images is None:
        root = common_folder(dataset)
        names = {
            one["image_id"]: Path(one["file_name"]).relative_to(root).as_posix()
            for one in dataset.records
        }
        if any(name.lower().endswith(".json") for name in names.values()):
            raise DatasetError(
                f"{dataset.name}: some images are inside json files, which COCO cannot name; say "
                f"--images copy to write them beside {out.name}"
            )
        write_file(out, coco_json(dataset, names), force)
        return f"CocoDetection({root!r}, {str(out)!r})"
    bare = pictures.names_for(dataset.records)
    names = {number: f"images/{name}" for number, name in bare.items()}
    targets = {one["image_id"]: out.parent / names[one["image_id"]] for one in dataset.records}
    for one in dataset.records:
        target = targets[one["image_id"]]
        keep_apart(target, [one["file_name"]])
        if target.exists() and not force:
            raise DatasetError(f"{str(target)!r} exists; say --force to replace it")
    write_file(out, coco_json(dataset, names), force)
    for one in dataset.records:
        targets[one["image_id"]].unlink(missing_ok=True)
        pictures.put(one["file_name"], targets[one["image_id"]], images)
    return f"CocoDetection({str(out.parent)!r}, {str(out)!r})"
