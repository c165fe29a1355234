"""Which detections overlap which annotated objects, over a whole data set; all analyses start here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..garbage_collection import collection_paused
from .results import BBOX, ResultRows
from .truth import Truth, mask_areas

LEAST = 0.1  # IoU under which two things have nothing to do with each other (TIDE, COCO's Loc)
# comparing so many pairs takes as long as one more call of pycocotools (0.07 and 16 us: measured)
_PAIRS_OF_A_CALL = 250

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # (P,) detection, object, IoU


@dataclass(frozen=True)
class Overlaps:
    """Detections, best first in each image, and the annotated objects they overlap.

    Attributes:
        truth: the annotations.
        results: the detections, in the order they came.
        kind: what is compared, `bbox` or `segm`.
        least: pairs that overlap less are not there.
        split: (I,) bool: images whose pairs of different classes are not there; see `complete`.
        rows: (N,) index of each detection in the results.
        images, classes: (N,) indices into `truth.image_ids` and `truth.category_ids`.
        scores: (N,).
        areas: (N,) square pixels.
        detection, object: (P,) the pairs that overlap, in order of detection.
        iou: (P,) intersection over union; with a crowd region: over the detection's area.
    """

    truth: Truth
    results: ResultRows
    kind: str
    least: float
    split: np.ndarray
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
    own_class_first: bool = False,
    others_as_crowd: bool = False,
    least: float = LEAST,
) -> Overlaps:
    """Compare every detection with every object of its image.

    Args:
        truth: annotations.
        results: detections; those of `segm` need masks.
        kind: `bbox` or `segm`.
        max_detections: results of a class in an image that count, best first; None: all.
        own_class_first: leave out pairs of different classes where comparing them costs time, which
            is in crowded images; average precision does not need them, and `complete` adds them.
        others_as_crowd: compare with objects of other classes as if they were crowd regions.
        least: overlap from which a pair is there, above 0.

    Raises:
        ValueError: for results that do not belong to the annotations.
    """
    images = truth.image_indices(results.image_ids, "a result")
    classes = truth.category_indices(results.category_ids, "a result")
    scores = results.scores
    order = np.lexsort((-scores, images))  # stable: equal scores stay as they came
    if max_detections is not None:
        order = order[_rank_in_class(images[order], classes[order]) < max_detections]
    images, classes = images[order], classes[order]
    with collection_paused():
        shapes, areas = _shapes(results, kind, order)
        ours, theirs = _Compared(shapes, images, classes), _annotated(truth, kind)
        split = np.zeros(len(truth.image_ids), bool)
        if own_class_first:
            split = _worth_splitting(ours, theirs, len(split))
        pairs = _pairs(ours, theirs, truth.crowd, split, least, others_as_crowd)
    return Overlaps(
        truth, results, kind, least, split, order, images, classes, scores[order], areas, *pairs
    )


def complete(overlaps: Overlaps) -> Overlaps:
    """With the pairs of different classes that were left out; itself where none were."""
    if not overlaps.split.any():
        return overlaps
    truth = overlaps.truth
    mine = np.flatnonzero(overlaps.split[overlaps.images])
    theirs = np.flatnonzero(overlaps.split[truth.images])
    with collection_paused():
        shapes, _ = _shapes(overlaps.results, overlaps.kind, overlaps.rows[mine])
        detection, target, iou = _pairs(
            _Compared(shapes, overlaps.images[mine], overlaps.classes[mine]),
            _annotated(truth, overlaps.kind).subset(theirs),
            truth.crowd[theirs], np.zeros_like(overlaps.split), overlaps.least,
        )  # fmt: skip
    detection, target = mine[detection], theirs[target]
    added = overlaps.classes[detection] != truth.classes[target]
    columns = (
        np.concatenate([before, new[added]])
        for before, new in (
            (overlaps.detection, detection), (overlaps.object, target), (overlaps.iou, iou),
        )
    )  # fmt: skip
    detection, target, iou = _in_order(*columns)
    return replace(
        overlaps, split=np.zeros_like(overlaps.split), detection=detection, object=target, iou=iou
    )


@dataclass(frozen=True)
class _Compared:
    """Boxes or masks, of detections or of objects, with their images and classes."""

    shapes: Any
    images: np.ndarray
    classes: np.ndarray

    def shapes_at(self, indices: np.ndarray) -> Any:
        if isinstance(self.shapes, np.ndarray):
            return self.shapes[indices]
        return [self.shapes[i] for i in indices.tolist()]

    def subset(self, indices: np.ndarray) -> _Compared:
        return _Compared(self.shapes_at(indices), self.images[indices], self.classes[indices])


def _shapes(results: ResultRows, kind: str, rows: np.ndarray) -> tuple[Any, np.ndarray]:
    """Boxes or masks, and square pixels, of some results."""
    if kind == BBOX:
        boxes = results.boxes[rows]
        return boxes, boxes[:, 2:].prod(axis=1)
    every = results.masks(as_text=False)
    masks = [every[row] for row in rows.tolist()]
    return masks, mask_areas(masks)


def _annotated(truth: Truth, kind: str) -> _Compared:
    return _Compared(truth.boxes if kind == BBOX else truth.masks, truth.images, truth.classes)


def _worth_splitting(ours: _Compared, theirs: _Compared, num_images: int) -> np.ndarray:
    """(I,) bool: images where comparing class by class saves more than the additional calls cost."""
    size = 1 + max(int(side.classes.max(initial=0)) for side in (ours, theirs))
    by_class = (
        np.unique(side.images * size + side.classes, return_counts=True) for side in (ours, theirs)
    )
    (mine, num_mine), (other, num_other) = by_class
    both, i, j = np.intersect1d(mine, other, assume_unique=True, return_indices=True)
    calls = np.bincount(both // size, minlength=num_images)
    own = np.bincount(both // size, num_mine[i] * num_other[j], num_images)
    counts = [np.bincount(side.images, minlength=num_images) for side in (ours, theirs)]
    return counts[0] * counts[1] - own > _PAIRS_OF_A_CALL * calls


def _pairs(
    ours: _Compared,
    theirs: _Compared,
    crowd: np.ndarray,
    split: np.ndarray,
    least: float,
    others_as_crowd: bool = False,
) -> Pairs:
    """All pairs of an image, of split images those of equal class, in order of detection."""
    size = 1 + max(int(side.classes.max(initial=0)) for side in (ours, theirs))
    cells = [
        side.images * size + np.where(split[side.images], side.classes, 0)
        for side in (ours, theirs)
    ]
    parts = list(_pairs_of_cells(ours, theirs, crowd, cells, least, others_as_crowd))
    if not parts:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    detection, target, iou = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _in_order(detection, target, iou)


def _pairs_of_cells(
    ours: _Compared,
    theirs: _Compared,
    crowd: np.ndarray,
    cells: Sequence[np.ndarray],
    least: float,
    others_as_crowd: bool,
) -> Iterator[Pairs]:
    """The pairs of each cell: an image, or a class of a split image.

    Args:
        cells: (N,) and (M,) number of the cell of each detection and object.
    """
    orders = [np.argsort(numbers, kind="stable") for numbers in cells]
    both = np.intersect1d(cells[0], cells[1])
    (first, last), (begin, end) = (
        [np.searchsorted(numbers[order], both, side=side).tolist() for side in ("left", "right")]
        for numbers, order in zip(cells, orders, strict=True)
    )
    detections, objects = ours.shapes_at(orders[0]), theirs.shapes_at(orders[1])
    flags = crowd[orders[1]].astype(np.uint8)
    for i in range(len(both)):
        here, there = slice(first[i], last[i]), slice(begin[i], end[i])
        iou = coco_mask.iou(detections[here], objects[there], flags[there])
        mine, other = orders[0][here], orders[1][there]
        if others_as_crowd:
            over_own = coco_mask.iou(detections[here], objects[there], np.ones_like(flags[there]))
            iou = np.where(ours.classes[mine, None] == theirs.classes[None, other], iou, over_own)
        row, column = np.nonzero(iou >= least)
        yield mine[row], other[column], iou[row, column]


def _in_order(detection: np.ndarray, target: np.ndarray, iou: np.ndarray) -> Pairs:
    order = np.lexsort((target, detection))
    return detection[order], target[order], iou[order]


def _rank_in_class(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How many detections of its class stand before each one in its image."""
    group = images * (classes.max(initial=0) + 1) + classes
    order = np.argsort(group, kind="stable")
    starts = np.r_[True, np.diff(group[order]) != 0]
    position = np.arange(len(group))
    ranks = np.empty(len(group), int)
    ranks[order] = position - np.maximum.accumulate(np.where(starts[: len(group)], position, 0))
    return ranks
