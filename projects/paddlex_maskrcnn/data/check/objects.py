"""Measures of the objects of one image, from their masks."""

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_util

from ..datasets.annotations import ImageFrame, as_rle, bounds_of
from ..datasets.records import Record
from ..masks import runs_of

SAME_MASK = 0.9  # IoU from which two masks are of one object
_CORNER = 2.0  # pixels that a corner may be off: boxes of masks are whole pixels, others inclusive


@dataclass
class ObjectColumns:
    """What is known of the objects before any mask is looked at; one row an annotation, image by image.

    Attributes:
        image: position of the image in its part.
        category: class, from 0.
        is_crowd: whether it is a region of uncounted objects.
    """

    image: np.ndarray
    category: np.ndarray
    is_crowd: np.ndarray

    def __len__(self) -> int:
        return len(self.image)


@dataclass
class Objects(ObjectColumns):
    """All that is measured of objects.

    Attributes:
        index: position of the annotation in its image.
        number: annotation id.
        box: (N, 4) x, y, width, height as annotated, pixels.
        area: pixels of the mask.
        outlines: parts the annotation is drawn in, of a polygon; connected ones of an RLE mask.
        holes: closed areas inside an RLE mask that do not belong to it.
        at_border: whether it touches the border of the image.
        box_iou: IoU of the annotated box and the one around the mask.
        box_offset: largest distance between sides of these two boxes, pixels.
        box_is_corners: whether the annotated box fits the mask if its last two numbers are a corner.
        inside: share of the box around the outline that is in the image; 1 for RLE masks.
    """

    index: np.ndarray
    number: np.ndarray
    box: np.ndarray
    area: np.ndarray
    outlines: np.ndarray
    holes: np.ndarray
    at_border: np.ndarray
    box_iou: np.ndarray
    box_offset: np.ndarray
    box_is_corners: np.ndarray
    inside: np.ndarray

    @staticmethod
    def joined(tables: "list[Objects]") -> "Objects":
        """All rows one after the other."""
        tables = tables or [measured({"height": 1, "width": 1, "annotations": []}, 0)[0]]
        columns = {
            column.name: np.concatenate([getattr(table, column.name) for table in tables])
            for column in fields(Objects)
        }
        return Objects(**columns)


@dataclass(frozen=True)
class Twin:
    """Two annotations of one image with nearly the same mask.

    Attributes:
        image: position of the image in its part.
        indices: positions of the annotations in their image.
        iou: of the masks.
        same_class: whether they are of one class.
    """

    image: int
    indices: tuple[int, int]
    iou: float
    same_class: bool


def measured(record: Record, image: int) -> tuple[Objects, list[Twin]]:
    """All measures of an image's annotations, and those that are of one object.

    Args:
        record: Detectron2 standard dict with checked annotations.
        image: its position.
    """
    annotations = record["annotations"]
    height, width = record["height"], record["width"]
    rles = [as_rle(a["segmentation"], ImageFrame(height, width)) for a in annotations]
    count = len(annotations)
    boxes = np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4)
    around = np.array(mask_util.toBbox(rles) if rles else [], np.float64).reshape(-1, 4)
    shapes = [
        _outlines_and_holes(annotation["segmentation"], rle, box)
        for annotation, rle, box in zip(annotations, rles, around, strict=True)
    ]
    category = np.array([a["category_id"] for a in annotations], np.int64)
    is_crowd = np.array([bool(a.get("iscrowd")) for a in annotations], bool)
    ends = around[:, :2] + around[:, 2:]
    reaches = np.concatenate([around[:, :2] < 1, ends > (width - 1, height - 1)], axis=1)
    iou, offset = _agreement(boxes, around)
    table = Objects(
        image=np.full(count, image),
        index=np.arange(count),
        number=np.array([a["id"] for a in annotations], object),  # ids have no limit
        category=category,
        is_crowd=is_crowd,
        box=boxes,
        # one by one: pycocotools 2.0.11 counts the masks of a list in eight bits
        area=np.array([mask_util.area(rle) for rle in rles], np.float64),
        outlines=np.array([shape[0] for shape in shapes], np.int64),
        holes=np.array([shape[1] for shape in shapes], np.int64),
        at_border=np.logical_or.reduce(reaches, axis=1),
        box_iou=iou,
        box_offset=offset,
        box_is_corners=_are_corners(boxes, around, (width, height)),
        inside=np.array(
            [_inside(a["segmentation"], width, height) for a in annotations], np.float64
        ),
    )
    return table, _twins(rles, category, is_crowd, image)


def _agreement(boxes: np.ndarray, around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU and largest distance of sides of boxes (N, 4) XYWH, pair by pair."""
    low_a, low_b = boxes[:, :2], around[:, :2]
    high_a, high_b = low_a + boxes[:, 2:], low_b + around[:, 2:]
    shared = np.clip(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0, None).prod(axis=1)
    whole = boxes[:, 2:].prod(axis=1) + around[:, 2:].prod(axis=1) - shared
    sides = np.concatenate([np.abs(low_a - low_b), np.abs(high_a - high_b)], axis=1)
    return shared / np.maximum(whole, 1e-9), sides.max(axis=1, initial=0)


def _are_corners(boxes: np.ndarray, around: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether boxes (N, 4) XYWH fit the masks (N, 4) only if they were meant to be XYXY.

    A box [x1, y1, x2, y2] that is read as x, y, width and height ends at (x1 + x2, y1 + y2), and is cut
    at the border of the image, of this (width, height).
    """
    ends, far = boxes[:, :2] + boxes[:, 2:], around[:, :2] + around[:, 2:]
    as_corners = np.minimum(boxes[:, :2] + far, size)
    begins = np.abs(boxes[:, :2] - around[:, :2]).max(axis=1, initial=0) <= _CORNER
    fits = np.abs(ends - as_corners).max(axis=1, initial=0) <= _CORNER
    differs = np.abs(ends - far).max(axis=1, initial=0) > _CORNER
    return begins & fits & differs


def _inside(segmentation: Any, width: int, height: int) -> float:
    if isinstance(segmentation, dict):
        return 1.0
    x, y, w, h = bounds_of(segmentation)
    shown_w = min(x + w, width) - max(x, 0.0)
    shown_h = min(y + h, height) - max(y, 0.0)
    return max(shown_w, 0.0) * max(shown_h, 0.0) / max(w * h, 1e-9)


def _twins(rles: list[Any], category: np.ndarray, is_crowd: np.ndarray, image: int) -> list[Twin]:
    indices = np.flatnonzero(~is_crowd)
    if len(indices) < 2:
        return []
    chosen = [rles[index] for index in indices]
    overlaps = np.triu(mask_util.iou(chosen, chosen, [0] * len(chosen)), 1)
    return [
        Twin(image, (int(indices[a]), int(indices[b])), float(overlaps[a, b]),
             bool(category[indices[a]] == category[indices[b]]))
        for a, b in np.argwhere(overlaps > SAME_MASK)
    ]  # fmt: skip


def _outlines_and_holes(segmentation: Any, rle: dict[str, Any], box: np.ndarray) -> tuple[int, int]:
    """Polygons are counted as drawn, and have no holes; RLE masks are traced."""
    if isinstance(segmentation, list):
        return len(segmentation), 0
    contours, tree = cv2.findContours(_cropped(rle, box), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    inner = int((tree[0, :, 3] >= 0).sum()) if tree is not None else 0
    return len(contours) - inner, inner


def _cropped(rle: dict[str, Any], box: np.ndarray) -> np.ndarray:
    """The part of a mask inside the box around it, without decoding all of it; uint8."""
    height = rle["size"][0]
    x, y, w, h = (int(value) for value in box)
    ends = np.cumsum(runs_of(rle))
    edges = np.clip(ends - x * height, 0, w * height)
    columns = np.zeros(w * height, np.uint8)
    for start, end in zip(edges[0::2], edges[1::2], strict=False):
        columns[start:end] = 1
    cropped = columns.reshape(w, height).T[y : y + h]
    return np.ascontiguousarray(np.pad(cropped, 1))
