"""Which detections overlap which annotated objects, over a whole data set; all analyses start here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from .collection import collection_paused
from .results import BBOX, ResultRows
from .truth import Truth, mask_areas

LEAST = 0.1  # IoU under which two things have nothing to do with each other (TIDE, COCO's Loc)


@dataclass(frozen=True)
class Overlaps:
    """Detections, best first in each image, and the annotated objects they overlap.

    Attributes:
        truth: the annotations.
        results: the detections, in the order they came.
        kind: what is compared, `bbox` or `segm`.
        rows: (N,) place of each detection in the results.
        images, classes: (N,) places in `truth.image_ids` and `truth.category_ids`.
        scores: (N,).
        detection, object: (P,) the pairs that overlap by at least `LEAST`, in order of detection.
        iou: (P,) intersection over union; with a crowd region: over the detection's area.
    """

    truth: Truth
    results: ResultRows
    kind: str
    rows: np.ndarray
    images: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    detection: np.ndarray
    object: np.ndarray
    iou: np.ndarray

    @cached_property
    def areas(self) -> np.ndarray:
        """(N,) square pixels of the detections."""
        if self.kind == BBOX:
            return self.results.boxes[self.rows, 2:].prod(axis=1)
        return mask_areas(self.results.mask(i) for i in self.rows.tolist())

    @property
    def of_own_class(self) -> np.ndarray:
        """(P,) bool: whether the detection has the class of the object."""
        return self.classes[self.detection] == self.truth.classes[self.object]


def find_overlaps(
    truth: Truth,
    results: ResultRows,
    kind: str,
    max_detections: int | None = None,
    others_as_crowd: bool = False,
) -> Overlaps:
    """Compare every detection with every object of its image, whatever their classes.

    Args:
        truth: annotations.
        results: detections; those of `segm` need masks.
        kind: `bbox` or `segm`.
        max_detections: results of a class in an image that count, best first; None: all.
        others_as_crowd: compare with objects of other classes as if they were crowd regions.

    Raises:
        ValueError: for results that do not belong to the annotations.
    """
    images = truth.places_of_images(results.image_ids, "a result")
    classes = truth.places_of_categories(results.category_ids, "a result")
    scores = results.scores
    order = np.lexsort((np.arange(len(scores)), -scores, images))
    if max_detections is not None:
        order = order[_rank_in_class(images[order], classes[order]) < max_detections]
    images, classes = images[order], classes[order]
    with collection_paused():
        parts = list(_pairs(truth, results, kind, order, images, classes, others_as_crowd))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    detection, found, iou = columns or (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    return Overlaps(
        truth, results, kind, order, images, classes, scores[order], detection, found, iou
    )


def _pairs(
    truth: Truth,
    results: ResultRows,
    kind: str,
    order: np.ndarray,
    images: np.ndarray,
    classes: np.ndarray,
    others_as_crowd: bool,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(detection, object, IoU) of each image that has both."""
    every = np.arange(len(truth.image_ids) + 1)
    bounds = np.searchsorted(images, every).tolist()
    object_bounds = np.searchsorted(truth.images, every).tolist()
    crowd = truth.crowd.astype(np.uint8)
    boxes, rows = results.boxes[order], order.tolist()
    masks = [] if kind == BBOX else results.masks()
    objects: Any = truth.boxes if kind == BBOX else truth.masks
    for i in range(len(truth.image_ids)):
        here, there = slice(*bounds[i : i + 2]), slice(*object_bounds[i : i + 2])
        if here.start == here.stop or there.start == there.stop:
            continue
        shapes = boxes[here] if kind == BBOX else [masks[row] for row in rows[here]]
        iou = coco_mask.iou(shapes, objects[there], crowd[there])
        if others_as_crowd:
            over_own = coco_mask.iou(shapes, objects[there], np.ones_like(crowd[there]))
            iou = np.where(classes[here, None] == truth.classes[None, there], iou, over_own)
        detection, found = np.nonzero(iou >= LEAST)
        yield detection + here.start, found + there.start, iou[detection, found]


def _rank_in_class(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How many detections of its class stand before each one in its image."""
    group = images * (classes.max(initial=0) + 1) + classes
    order = np.argsort(group, kind="stable")
    starts = np.r_[True, np.diff(group[order]) != 0]
    place = np.arange(len(group))
    ranks = np.empty(len(group), int)
    ranks[order] = place - np.maximum.accumulate(np.where(starts[: len(group)], place, 0))
    return ranks
