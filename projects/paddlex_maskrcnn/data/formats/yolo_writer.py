"""YOLO segmentation sets: one outline an object, in fractions of the upright image.

Holes and parts go along bridges of no width, which do not show when the outline is drawn. Where
polygons overlap, or an outline would not have the object's pixels, its pixels are traced instead.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import yaml

from ..contours import bridged, polygons_of_rle
from ..datasets.base import DetectionDataset
from ..datasets.objects import ImageFrame, as_rle
from ..transforms.sample import clip_polygon
from . import pictures
from .upright import upright

_DIGITS = 12


def write_yolo(dataset: DetectionDataset, folder: Path, images: str, split: str) -> Counter[str]:
    """Write images/SPLIT, labels/SPLIT and data.yaml.

    Args:
        folder: an empty one.
        images: 'copy' or 'symlink'.
        split: the part of the set that this is.

    Returns:
        what the format has no words for, and how often it was there.
    """
    lost: Counter[str] = Counter()
    names = pictures.names_for(dataset.records)
    (folder / "labels" / split).mkdir(parents=True)
    for record in map(upright, dataset.records):
        name = names[record["image_id"]]
        pictures.put(record["file_name"], folder / "images" / split / name, images)
        frame = ImageFrame(record["height"], record["width"])
        lines = [_line(one, frame, lost) for one in record["annotations"]]
        text = "".join(f"{line}\n" for line in lines if line)
        (folder / "labels" / split / Path(name).with_suffix(".txt")).write_text(text)
    content = {split: f"images/{split}", "names": dict(enumerate(dataset.labels))}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return lost


def _line(annotation: dict[str, Any], frame: ImageFrame, lost: Counter[str]) -> str:
    if annotation["iscrowd"]:
        lost["crowd regions left out: here they would be objects"] += 1
        return ""
    if annotation.get("ignore"):
        lost["objects to be ignored in evaluation, here objects like others"] += 1
    outline = one_outline(annotation["segmentation"], frame)
    numbers = np.round(outline / (frame.width, frame.height), _DIGITS).reshape(-1)
    return " ".join(
        [str(annotation["category_id"]), *(f"{number:.{_DIGITS}g}" for number in numbers)]
    )


def one_outline(segmentation: Any, frame: ImageFrame) -> np.ndarray:
    """(N, 2) x, y in pixels inside the image: a polygon that is drawn as this mask."""
    rle = as_rle(segmentation, frame)
    if isinstance(segmentation, list):
        parts = [np.array(one, np.float64).reshape(-1, 2) for one in segmentation]
        parts = [clip_polygon(one, frame.height, frame.width) for one in parts]
        outline = bridged([one for one in parts if len(one) >= 3])
        drawn = mask_util.frPyObjects([outline.reshape(-1).tolist()], frame.height, frame.width)[0]
        if drawn["counts"] == rle["counts"] or not mask_util.area(rle):
            return outline
    return bridged(polygons_of_rle(rle))
