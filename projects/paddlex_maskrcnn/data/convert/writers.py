"""LabelMe folders: a json beside each picture.

Polygons stay polygons, several of one object joined by `group_id`; masks with holes or run lengths
are `mask` shapes, which have every pixel.
"""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
from PIL import Image

from ..datasets.annotations import ImageFrame, as_rle
from ..datasets.base import DetectionDataset
from ..datasets.labelme_shapes import has_holes
from . import images as pictures
from .upright import upright

_VERSION = "5.4.1"  # whose files have mask shapes


def write_labelme(dataset: DetectionDataset, folder: Path, images: str) -> None:
    """Write a picture and a json for each image, and the classes in labels.txt.

    Args:
        folder: an empty one.
        images: 'copy' or 'symlink'.
    """
    names = pictures.names_for(dataset.records)
    for record in map(upright, dataset.records):
        name = names[record["image_id"]]
        pictures.put(record["file_name"], folder / name, images)
        frame = ImageFrame(record["height"], record["width"])
        shapes: list[dict[str, Any]] = []
        for number, one in enumerate(record["annotations"], 1):
            shapes += _shapes(one, dataset.labels[one["category_id"]], number, frame)
        content: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": name,
            "imageData": None,
            "imageHeight": frame.height,
            "imageWidth": frame.width,
        }
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).with_suffix(".json").write_text(text, encoding="utf-8")
    labels = "".join(f"{label}\n" for label in dataset.labels)
    (folder / "labels.txt").write_text(labels, encoding="utf-8")


def _shapes(
    one: dict[str, Any], label: str, number: int, frame: ImageFrame
) -> list[dict[str, Any]]:
    marks = {"iscrowd": one["iscrowd"], "difficult": one.get("ignore")}
    flags = {name: True for name, value in marks.items() if value}
    segmentation = one["segmentation"]
    if isinstance(segmentation, dict) or has_holes(segmentation, frame):
        return [_shape(label, None, flags, **_mask(as_rle(segmentation, frame)))]
    group = number if len(segmentation) > 1 else None
    parts = [np.reshape(part, (-1, 2)).tolist() for part in segmentation]
    return [_shape(label, group, flags, shape_type="polygon", points=part) for part in parts]


def _shape(label: str, group: int | None, flags: dict[str, bool], **form: Any) -> dict[str, Any]:
    return {
        "label": label,
        "group_id": group,
        "description": "",
        "flags": flags,
        "mask": None,
        **form,
    }


def _mask(rle: dict[str, Any]) -> dict[str, Any]:
    """The pixels of the mask's box as a PNG, between the first and the last pixel."""
    x, y, width, height = (int(side) for side in mask_util.toBbox(rle))
    pixels = mask_util.decode(rle)[y : y + height, x : x + width] * np.uint8(255)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(file, "PNG")
    points = [[float(x), float(y)], [float(x + width - 1), float(y + height - 1)]]
    mask = base64.b64encode(file.getvalue()).decode("ascii")
    return {"shape_type": "mask", "points": points, "mask": mask}
