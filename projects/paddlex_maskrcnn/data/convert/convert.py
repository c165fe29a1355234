"""A data set written in another format, and what was lost on the way."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datasets.base import DetectionDataset
from ..datasets.problems import DatasetError
from .images import names_for, put
from .output import fresh_folder, keep_apart, write_file
from .parts import DATA_YAML, other_parts, write_data_yaml
from .writers import as_coco, common_folder, write_easydata, write_labelme, write_voc, write_yolo

_FOLDER_WRITERS = {
    "labelme": write_labelme,
    "voc": write_voc,
    "yolo": write_yolo,
    "easydata": write_easydata,
}
FORMATS = ("coco", *_FOLDER_WRITERS)


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
    image_dir: Path | None = None,
) -> Converted:
    """Write a data set in another format; it is not changed itself.

    Args:
        form: one of FORMATS.
        out: for coco the json, otherwise a folder; one that has other parts of the same set gets this
            one too.
        images: 'copy' or 'symlink' puts the pictures beside the annotations; None leaves them where
            they are, which only coco can (the others copy).
        split: the part of the set that this is, in formats that name it.
        force: replace files of the same names, though never what was read.
        originals: the annotation files and folders that the data set was read from.
        image_dir: coco with pictures: the folder for them, from which names in the json start; None:
            `images` beside the json.

    Raises:
        DatasetError: if the place is taken, or the pictures have to be written and may not.
    """
    objects = len(dataset.records.classes)
    keep_apart(out, [*originals, *(record["file_name"] for record in dataset.records)])
    if form == "coco":
        return Converted(
            dataset.num_samples, objects, _coco(dataset, out, images, force, image_dir)
        )
    others = other_parts(form, out, split, dataset.labels)
    names = names_for(dataset.records, others.taken)
    with fresh_folder(out, force or others.is_new) as folder:
        lost = _FOLDER_WRITERS[form](dataset, folder, names, images or "copy", split)
        if form == "yolo":
            write_data_yaml(folder / DATA_YAML, split, dataset.labels, others)
    left_out = sum(count for words, count in lost.items() if "left out" in words)
    return Converted(dataset.num_samples, objects - left_out, _reader(form, out, split), lost)


def coco_content(dataset: DetectionDataset) -> tuple[dict[str, Any], str]:
    """A data set as COCO content whose pictures stay where they are, and the folder its names start from.

    Raises:
        DatasetError: if a picture is inside a json file.
    """
    root = common_folder(dataset)
    names = {
        record["image_id"]: Path(record["file_name"]).relative_to(root).as_posix()
        for record in dataset.records
    }
    if any(name.lower().endswith(".json") for name in names.values()):
        raise DatasetError(
            f"{dataset.name}: some images are inside json files, which COCO cannot name; "
            "convert --to coco --images copy writes them beside its json"
        )
    return as_coco(dataset, names), root


def _reader(form: str, out: Path, split: str) -> str:
    """The Python that reads a folder that was written."""
    labels, listed = repr(str(out / "labels.txt")), repr(str(out / f"{split}_list.txt"))
    return {
        "labelme": f"LabelMeDetection({str(out)!r}, {labels})",
        "voc": f"VOCDetection({str(out)!r}, {listed}, {labels})",
        "yolo": f"YoloSegmentation({str(out / 'data.yaml')!r}, {split!r})",
        "easydata": f"EasyDataDet({str(out)!r}, {listed}, {labels})",
    }[form]


def _coco(
    dataset: DetectionDataset, out: Path, images: str | None, force: bool, image_dir: Path | None
) -> str:
    if images is None:
        content, root = coco_content(dataset)
        write_file(out, json.dumps(content, ensure_ascii=False), force)
        return f"CocoDetection({root!r}, {str(out)!r})"
    bare = names_for(dataset.records)
    start = image_dir or out.parent
    names = {number: name if image_dir else f"images/{name}" for number, name in bare.items()}
    targets = {number: start / name for number, name in names.items()}
    for record in dataset.records:
        target = targets[record["image_id"]]
        keep_apart(target, [record["file_name"]])
        if target.exists() and not force:
            raise DatasetError(f"{str(target)!r} exists; say --force to replace it")
    write_file(out, json.dumps(as_coco(dataset, names), ensure_ascii=False), force)
    for record in dataset.records:
        target = targets[record["image_id"]]
        target.unlink(missing_ok=True)
        put(record["file_name"], target, images)
    return f"CocoDetection({str(start)!r}, {str(out)!r})"
