"""Pictures for the page: whole images with their masks, single objects, copies side by side."""

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_util

from ...data.datasets.objects import ImageFrame, as_rle, bounds_of
from ...data.datasets.packed import Record
from ..pictures import PAPER, draw_objects, read_viewable

WHOLE, OBJECT = 640, 320  # pixels of the longer side
_MARGIN = 0.6  # of the object's longer side, around it
_LEAST_MARGIN = 24  # pixels
_MOST_NAMED = 15  # objects whose class names do not hide the picture
_QUALITY = 82
_GAP = 6

Window = tuple[int, int, int, int]  # left, top, right, bottom


def whole_picture(record: Record, labels: Sequence[str], side: int = WHOLE) -> np.ndarray | None:
    """An image with all its objects; None if it cannot be read."""
    window = (0, 0, record["width"], record["height"])
    return _drawn(record, labels, range(len(record["annotations"])), window, side)


def object_picture(
    record: Record, labels: Sequence[str], places: Sequence[int], side: int = OBJECT
) -> np.ndarray | None:
    """Some objects of an image and a little around them; None if it cannot be read."""
    annotations = [record["annotations"][place] for place in places]
    return _drawn(record, labels, places, _around(record, annotations), side)


def side_by_side(records: Sequence[Record], side: int = OBJECT) -> np.ndarray | None:
    """Images beside each other without their objects; None if none can be read."""
    pictures = [_drawn(one, [], [], (0, 0, one["width"], one["height"]), side) for one in records]
    readable = [one for one in pictures if one is not None]
    if not readable:
        return None
    height = max(one.shape[0] for one in readable)
    panels = []
    for one in readable:
        bottom = height - one.shape[0]
        paper = (PAPER,) * 3
        panels.append(cv2.copyMakeBorder(one, 0, bottom, _GAP, 0, cv2.BORDER_CONSTANT, value=paper))
    return np.hstack(panels)[:, _GAP:]


def embedded(picture: np.ndarray) -> str:
    """The picture as a `data:` address of a JPEG."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _drawn(
    record: Record, labels: Sequence[str], places: Sequence[int], window: Window, side: int
) -> np.ndarray | None:
    size = (record["height"], record["width"])
    try:
        image = read_viewable(record["file_name"], size)
    except (OSError, ValueError):
        return None
    left, top, right, bottom = window
    scale = side / max(right - left, bottom - top)
    shape = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    part = np.ascontiguousarray(image[top:bottom, left:right])
    picture = cv2.resize(part, shape, interpolation=shrinks)
    is_crowded = len(places) > _MOST_NAMED
    named = None if is_crowded or len(labels) == 1 else labels  # one class needs no name
    objects = [_object(record["annotations"][k], size, named, window, shape) for k in places]
    return draw_objects(picture, [_without_box(one) for one in objects] if is_crowded else objects)


def _without_box(one: dict[str, Any]) -> dict[str, Any]:
    """A mask alone: boxes of many objects hide what they are about."""
    x, y, width, height = one["bbox"]
    return {**one, "bbox": [x + width / 2, y + height / 2, 0, 0]}


def _object(
    one: dict[str, Any],
    size: tuple[int, int],
    labels: Sequence[str] | None,
    window: Window,
    shape: tuple[int, int],
) -> dict[str, Any]:
    """An annotation in the form of a prediction, moved into the window."""
    left, top, right, bottom = window
    mask = mask_util.decode(as_rle(one["segmentation"], ImageFrame(*size)))
    part = np.ascontiguousarray(mask[top:bottom, left:right])
    zoom = np.array([shape[0] / (right - left), shape[1] / (bottom - top)])
    x, y, width, height = one["bbox"]
    corner, sides = np.array([x - left, y - top]) * zoom, np.array([width, height]) * zoom
    crowd = " (crowd)" if one.get("iscrowd") else ""
    return {
        "bbox": [*corner.tolist(), *sides.tolist()],
        "mask": cv2.resize(part, shape, interpolation=cv2.INTER_NEAREST),
        "category": labels[one["category_id"]] + crowd if labels is not None else "",
        "category_id": one["category_id"] + 1,
        "score": None,
    }


def _around(record: Record, annotations: Sequence[dict[str, Any]]) -> Window:
    """A window with the boxes and the masks of some annotations, and a margin."""
    boxes = [one["bbox"] for one in annotations] + [
        bounds_of(one["segmentation"]) for one in annotations
    ]
    low = np.array([box[:2] for box in boxes]).min(axis=0)
    high = np.array([[box[0] + box[2], box[1] + box[3]] for box in boxes]).max(axis=0)
    margin = max(_LEAST_MARGIN, _MARGIN * float((high - low).max()))
    left, top = np.floor(np.maximum(low - margin, 0)).astype(int).tolist()
    right = min(record["width"], int(np.ceil(high[0] + margin)))
    bottom = min(record["height"], int(np.ceil(high[1] + margin)))
    return left, top, max(right, left + 1), max(bottom, top + 1)
