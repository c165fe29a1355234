"""Pictures of what the network is trained on: samples after all operators, with their targets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_util

from .pictures import PAPER, drawn_and_titled

Sample = dict[str, Any]

_COLUMNS = 4
_CELL = 420  # pixels of a picture's longer side on the sheet
_MARGIN = 8


def write_samples(
    samples: Iterable[Sample],
    labels: Sequence[str],
    folder: Path,
    value_range: tuple[float, float] = (0, 255),
) -> list[Path]:
    """Write one PNG for each sample and `contact_sheet.png` with all of them.

    Args:
        samples: what a training loader gives: image (C, H, W), the first three channels blue first,
            file_name, and instances with gt_boxes, gt_classes, gt_masks and maybe gt_crowd.
        labels: names of the classes.
        folder: created when it is not there.
        value_range: what is black and what is white in images that are not 8 bits.

    Returns:
        The files written, the sheet last; nothing when there are no samples.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, small = [], []
    for i, sample in enumerate(samples):
        pixels = as_pixels(sample["image"].numpy(), value_range)
        picture = drawn_and_titled(pixels, objects_of(sample, labels), _title(sample))
        path = folder / f"{i:03d}_{Path(sample['file_name']).stem}.png"
        _write(path, picture)
        written.append(path)
        small.append(_fitted(picture))
    if small:
        written.append(folder / "contact_sheet.png")
        _write(written[-1], contact_sheet(small))
    return written


def as_pixels(image: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """(H, W, 3) uint8 to look at, of (C, H, W): the first three channels, or the first one."""
    shown = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0)
    if shown.dtype != np.uint8:
        low, high = value_range
        shown = np.clip((shown - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(shown.transpose(1, 2, 0))


def objects_of(sample: Sample, labels: Sequence[str]) -> list[dict[str, Any]]:
    """A sample's targets in the form of predictions; crowd regions are boxes without a mask."""
    instances = sample["instances"]
    is_crowd = (
        instances.gt_crowd.tolist() if instances.has("gt_crowd") else [False] * len(instances)
    )
    boxes, classes = instances.gt_boxes.tensor.tolist(), instances.gt_classes.tolist()
    objects = []
    for i, ((x1, y1, x2, y2), category) in enumerate(zip(boxes, classes, strict=True)):
        crowd = is_crowd[i]
        objects.append(
            {
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "mask": None if crowd else _mask(instances, i),
                "category": labels[category] + (" (crowd)" if crowd else ""),
                "category_id": category + 1,
                "score": None,
            }
        )
    return objects


def contact_sheet(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures side by side in rows on white paper."""
    columns = min(_COLUMNS, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    height = max(picture.shape[0] for picture in pictures) + _MARGIN
    width = max(picture.shape[1] for picture in pictures) + _MARGIN
    sheet = np.full((rows * height + _MARGIN, columns * width + _MARGIN, 3), PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        top, left = row * height + _MARGIN, column * width + _MARGIN
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def _title(sample: Sample) -> str:
    """File, what it became in pixels (width x height), number of objects."""
    _, height, width = sample["image"].shape
    count = len(sample["instances"])
    objects = f"{count} object" + ("" if count == 1 else "s")
    return f"{Path(sample['file_name']).name}: {width}x{height}, {objects}"


def _mask(instances: Any, index: int) -> np.ndarray:
    height, width = instances.image_size
    polygons = [polygon.tolist() for polygon in instances.gt_masks.polygons[index]]
    return mask_util.decode(mask_util.merge(mask_util.frPyObjects(polygons, height, width)))


def _fitted(picture: np.ndarray) -> np.ndarray:
    scale = _CELL / max(picture.shape[:2])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _write(path: Path, picture: np.ndarray) -> None:
    if not cv2.imwrite(str(path), picture):
        raise OSError(f"cannot write {str(path)!r}")
