"""EasyData: a json an image with run-length masks, and PaddleX's lists."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from ..datasets.annotations import ImageFrame, as_rle
from ..datasets.base import DetectionDataset
from ..rle import as_text
from . import images as pictures
from .upright import upright


def write_easydata(
    dataset: DetectionDataset, folder: Path, images: str, split: str
) -> Counter[str]:
    """Write JPEGImages, Annotations, SPLIT_list.txt and labels.txt.

    Args:
        folder: an empty one.
        images: 'copy' or 'symlink'.
        split: the part of the set that this is.

    Returns:
        what the format has no words for, and how often it was there.
    """
    lost: Counter[str] = Counter()
    names = pictures.names_for(dataset.records)
    (folder / "Annotations").mkdir(parents=True)
    lines = []
    for record in map(upright, dataset.records):
        name = names[record["image_id"]]
        pictures.put(record["file_name"], folder / "JPEGImages" / name, images)
        frame = ImageFrame(record["height"], record["width"])
        found = [_object(one, dataset.labels, frame, lost) for one in record["annotations"]]
        text = json.dumps({"labels": [one for one in found if one]}, ensure_ascii=False)
        path = folder / "Annotations" / f"{Path(name).stem}.json"
        path.write_text(text, encoding="utf-8")
        lines.append(f"JPEGImages/{name}\t{path.relative_to(folder).as_posix()}\n")
    (folder / f"{split}_list.txt").write_text("".join(lines), encoding="utf-8")
    labels = "".join(f"{label}\n" for label in dataset.labels)
    (folder / "labels.txt").write_text(labels, encoding="utf-8")
    return lost


def _object(
    one: dict[str, Any], labels: list[str], frame: ImageFrame, lost: Counter[str]
) -> dict[str, Any] | None:
    if one["iscrowd"]:
        lost["crowd regions left out: here they would be objects"] += 1
        return None
    if one.get("ignore"):
        lost["objects to be ignored in evaluation, here objects like others"] += 1
    x, y, width, height = one["bbox"]
    corners = {"x1": x, "y1": y, "x2": x + width - 1, "y2": y + height - 1}
    mask = as_text(as_rle(one["segmentation"], frame))["counts"]
    return {"name": labels[one["category_id"]], **corners, "mask": mask}
