"""Pictures for the page: whole images with their masks, single objects, copies side by side."""

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_util

from ...data.datasets.annotations import ImageFrame, as_rle, bounds_of
from ...data.datasets.records import Record
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
    record: Record, labels: Sequence[str], indices: Sequence[int], side: int = OBJECT
) -> np.ndarray | None:
    """Some objects of an image and a little around them; None if it cannot be read."""
    annotations = [record["annotations"][index] for index in indices]
    return _drawn(record, labels, indices, _around(record, annotations), side)


def side_by_side(records: Sequence[Record], side: int = OBJECT) -> np.ndarray | None:
    """Images beside each other without their objects; None if none can be read."""
    pictures = [
        _drawn(record, [], [], (0, 0, record["width"], record["height"]), side)
        for record in records
    ]
    readable = [picture for picture in pictures if picture is not None]
    if not readable:
        return None
    height = max(picture.shape[0] for picture in readable)
    panels, paper = [], (PAPER,) * 3
    for picture in readable:
        edges = (0, height - picture.shape[0], _GAP, 0)  # top, bottom, left, right
        panels.append(cv2.copyMakeBorder(picture, *edges, cv2.BORDER_CONSTANT, value=paper))
    return np.hstack(panels)[:, _GAP:]


def embedded(picture: np.ndarray) -> str:
    """The picture as a `data:` address of a JPEG."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _drawn(
    record: Record, labels: Sequence[str], indices: Sequence[int], window: Window, side: int
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
    is_crowded = len(indices) > _MOST_NAMED
    named = None if is_crowded or len(labels) == 1 else labels  # one class needs no name
    objects = [_object(record["annotations"][k], size, named, window, shape) for k in indices]
    return draw_objects(picture, list(map(_without_box, objects)) if is_crowded else objects)


def _without_box(drawn: dict[str, Any]) -> dict[str, Any]:
    """A mask alone: boxes of many objects hide what they are about."""
    x, y, width, height = drawn["bbox"]
    return {**drawn, "bbox": [x + width / 2, y + height / 2, 0, 0]}


def _object(
    annotation: dict[str, Any],
    size: tuple[int, int],
    labels: Sequence[str] | None,
    window: Window,
    shape: tuple[int, int],
) -> dict[str, Any]:
    """An annotation in the form of a prediction, moved into the window."""
    left, top, right, bottom = window
    mask = mask_util.decode(as_rle(annotation["segmentation"], ImageFrame(*size)))
    part = np.ascontiguousarray(mask[top:bottom, left:right])
    zoom = np.array([shape[0] / (right - left), shape[1] / (bottom - top)])
    x, y, width, height = annotation["bbox"]
    corner, sides = np.array([x - left, y - top]) * zoom, np.array([width, height]) * zoom
    crowd = " (crowd)" if annotation.get("iscrowd") else ""
    return {
        "bbox": [*corner.tolist(), *sides.tolist()],
        "mask": cv2.resize(part, shape, interpolation=cv2.INTER_NEAREST),
        "category": labels[annotation["category_id"]] + crowd if labels is not None else "",
        "category_id": annotation["category_id"] + 1,
        "score": None,
    }


def _around(record: Record, annotations: Sequence[dict[str, Any]]) -> Window:
    """A window with the boxes and the masks of some annotations, and a margin."""
    boxes = [a["bbox"] for a in annotations] + [bounds_of(a["segmentation"]) for a in annotations]
    low = np.array([box[:2] for box in boxes]).min(axis=0)
    high = np.array([[box[0] + box[2], box[1] + box[3]] for box in boxes]).max(axis=0)
    margin = max(_LEAST_MARGIN, _MARGIN * float((high - low).max()))
    left, top = np.floor(np.maximum(low - margin, 0)).astype(int).tolist()
    right = min(record["width"], int(np.ceil(high[0] + margin)))
    bottom = min(record["height"], int(np.ceil(high[1] + margin)))
    return left, top, max(right, left + 1), max(bottom, top + 1)
