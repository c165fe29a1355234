"""Which detections overlap which annotated objects, over a whole data set; all analyses start here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..garbage_collection import collection_paused
from .results import BBOX, ResultRows
from .truth import Truth, mask_areas

LEAST = 0.1  # IoU under which two things have nothing to do with each other (TIDE, COCO's Loc)
_PAIRS_OF_A_CALL = 250  # comparing so many takes as long as one more call (0.07 and 16 us: seen)


@dataclass(frozen=True)
class Overlaps:
    """Detections, best first in each image, and the annotated objects they overlap.

    Attributes:
        truth: the annotations.
        results: the detections, in the order they came.
        kind: what is compared, `bbox` or `segm`.
        least: pairs that overlap less are not there.
        rows: (N,) place of each detection in the results.
        images, classes: (N,) places in `truth.image_ids` and `truth.category_ids`.
        scores: (N,).
        areas: (N,) square pixels.
        detection, object: (P,) the pairs that overlap, in order of detection.
        iou: (P,) intersection over union; with a crowd region: over the detection's area.
    """

    truth: Truth
    results: ResultRows
    kind: str
    least: float
    rows: np.ndarray
    images: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    detection: np.ndarray
    object: np.ndarray
    iou: np.ndarray

    @property
    def of_own_class(self) -> np.ndarray:
        """(P,) bool: whether the detection has the class of the object."""
        return self.classes[self.detection] == self.truth.classes[self.object]


def find_overlaps(
    truth: Truth,
    results: ResultRows,
    kind: str,
    max_detections: int | None = None,
    *,
    own_class: bool = False,
    others_as_crowd: bool = False,
    least: float = LEAST,
) -> Overlaps:
    """Compare every detection with every object of its image.

    Args:
        truth: annotations.
        results: detections; those of `segm` need masks.
        kind: `bbox` or `segm`.
        max_detections: results of a class in an image that count, best first; None: all.
        own_class: compare with objects of the same class only, which is all that average precision
            needs; in crowded images it is much quicker.
        others_as_crowd: compare with objects of other classes as if they were crowd regions.
        least: overlap from which a pair is kept, above 0.

    Raises:
        ValueError: for results that do not belong to the annotations.
    """
    images = truth.places_of_images(results.image_ids, "a result")
    classes = truth.places_of_categories(results.category_ids, "a result")
    scores = results.scores
    order = np.lexsort((-scores, images))  # keeps equal ones as they came
    if max_detections is not None:
        order = order[_rank_in_class(images[order], classes[order]) < max_detections]
    images, classes = images[order], classes[order]
    with collection_paused():
        shapes, areas = _shapes(results, kind, order)
        ours = _Compared(shapes, images, classes)
        objects = truth.boxes if kind == BBOX else truth.masks
        theirs = _Compared(objects, truth.images, truth.classes)
        pairs = _pairs(ours, theirs, truth.crowd, own_class, others_as_crowd, least)
    return Overlaps(
        truth, results, kind, least, order, images, classes, scores[order], areas, *pairs
    )


def _shapes(results: ResultRows, kind: str, rows: np.ndarray) -> tuple[Any, np.ndarray]:
    """Boxes or masks, and square pixels, of some results."""
    if kind == BBOX:
        boxes = results.boxes[rows]
        return boxes, boxes[:, 2:].prod(axis=1)
    every = results.masks(as_text=False)
    masks = [every[row] for row in rows.tolist()]
    return masks, mask_areas(masks)


@dataclass(frozen=True)
class _Compared:
    """Boxes or masks, of detections or of objects, with their images and classes."""

    shapes: Any
    images: np.ndarray
    classes: np.ndarray

    def in_order(self, order: np.ndarray) -> Any:
        if isinstance(self.shapes, np.ndarray):
            return self.shapes[order]
        return [self.shapes[i] for i in order.tolist()]


def _pairs(
    ours: _Compared,
    theirs: _Compared,
    crowd: np.ndarray,
    own_class: bool,
    others_as_crowd: bool,
    least: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P,) detection, object, IoU, in order of detection."""
    cells = _cells(ours, theirs, own_class)
    parts = list(_pairs_of_cells(ours, theirs, crowd, cells, others_as_crowd, least))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    detection, found, iou = columns or (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    if own_class:
        same = ours.classes[detection] == theirs.classes[found]
        detection, found, iou = detection[same], found[same], iou[same]
    order = np.lexsort((found, detection))
    return detection[order], found[order], iou[order]


def _pairs_of_cells(
    ours: _Compared,
    theirs: _Compared,
    crowd: np.ndarray,
    cells: tuple[np.ndarray, np.ndarray],
    others_as_crowd: bool,
    least: float,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(detection, object, IoU) of each cell: an image, or a class of a crowded image."""
    orders = [np.argsort(one, kind="stable") for one in cells]
    both = np.intersect1d(*cells)
    (first, last), (begin, end) = (
        [np.searchsorted(one[order], both, side=side).tolist() for side in ("left", "right")]
        for one, order in zip(cells, orders, strict=True)
    )
    detections, objects = ours.in_order(orders[0]), theirs.in_order(orders[1])
    flags = crowd[orders[1]].astype(np.uint8)
    for i in range(len(both)):
        here, there = slice(first[i], last[i]), slice(begin[i], end[i])
        iou = coco_mask.iou(detections[here], objects[there], flags[there])
        one, other = orders[0][here], orders[1][there]
        if others_as_crowd:
            over_own = coco_mask.iou(detections[here], objects[there], np.ones_like(flags[there]))
            iou = np.where(ours.classes[one, None] == theirs.classes[None, other], iou, over_own)
        row, column = np.nonzero(iou >= least)
        yield one[row], other[column], iou[row, column]


def _cells(ours: _Compared, theirs: _Compared, own_class: bool) -> tuple[np.ndarray, np.ndarray]:
    """(N,) and (M,) number of the cell of each detection and object.

    A class of an image gets a cell of its own where the pairs saved are worth the calls.
    """
    if not own_class:
        return ours.images, theirs.images
    size = 1 + max(int(one.max(initial=0)) for one in (ours.classes, theirs.classes))
    images = 1 + max(int(one.max(initial=0)) for one in (ours.images, theirs.images))
    by_class = [one.images * size + one.classes for one in (ours, theirs)]
    calls = np.bincount(np.intersect1d(*by_class) // size, minlength=images)
    counts = [np.bincount(one.images, minlength=images) for one in (ours, theirs)]
    split = counts[0] * counts[1] > _PAIRS_OF_A_CALL * calls
    first, second = (
        np.where(split[one.images], cell, one.images * size)
        for one, cell in zip((ours, theirs), by_class, strict=True)
    )
    return first, second


def _rank_in_class(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How many detections of its class stand before each one in its image."""
    group = images * (classes.max(initial=0) + 1) + classes
    order = np.argsort(group, kind="stable")
    starts = np.r_[True, np.diff(group[order]) != 0]
    place = np.arange(len(group))
    ranks = np.empty(len(group), int)
    ranks[order] = place - np.maximum.accumulate(np.where(starts[: len(group)], place, 0))
    return ranks
