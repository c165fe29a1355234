"""COCO's precision and recall arrays from the pairs that overlap, all IoUs and sizes.

Origin: pycocotools' `COCOeval.accumulate`, whose numbers these are to the last digit (tested), its
guard against a division by zero included. Differences: matching and counting work on all images of a
class at once, and on pairs that overlap by half only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matching import RECALLS, match_at
from .overlaps import Overlaps

AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2),
         "large": (96.0**2, 1e10)}  # fmt: skip
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())


@dataclass(frozen=True)
class CocoArrays:
    """What `COCOeval.accumulate` leaves; -1 where a class has no object of the size.

    Attributes:
        precision: (T, 101, K, 4) at IoU, recall, class, size (all, small, medium, large).
        recall: (T, K, 4) the highest.
        scores: (T, 101, K, 4) of the detection at that recall.
    """

    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray


def coco_arrays_of(overlaps: Overlaps) -> CocoArrays:
    """All arrays.

    Args:
        overlaps: pairs of own class at least, from IoU 0.5 or less; as many detections as count.
    """
    num_ious, num_classes = len(IOU_THRESHOLDS), len(overlaps.truth.category_ids)
    shape = (num_ious, len(RECALLS), num_classes, len(AREAS))
    found = CocoArrays(
        np.full(shape, -1.0), np.full(shape[:1] + shape[2:], -1.0), np.full(shape, -1.0)
    )
    order = np.lexsort((-overlaps.scores, overlaps.classes))  # equal scores in order of image
    scores = overlaps.scores[order]
    bounds = np.searchsorted(overlaps.classes[order], np.arange(num_classes + 1)).tolist()
    for a, area in enumerate(AREAS.values()):
        right, wrong = np.empty((2, num_ious, len(order)), bool)
        for t, matches in enumerate(match_at(overlaps, IOU_THRESHOLDS, area)):
            right[t] = matches.right[order]
            wrong[t] = matches.counts[order] & ~right[t]
        objects = overlaps.truth.classes[matches.objects]
        for k, number in enumerate(np.bincount(objects, minlength=num_classes).tolist()):
            if number:
                here = slice(bounds[k], bounds[k + 1])
                one = _of_class(right[:, here], wrong[:, here], scores[here], number)
                found.precision[:, :, k, a], found.recall[:, k, a], found.scores[:, :, k, a] = one
    return found


def _of_class(
    right: np.ndarray, wrong: np.ndarray, scores: np.ndarray, num_objects: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, 101) precision, (T,) highest recall and (T, 101) scores.

    Args:
        right, wrong: (T, N) bool, best score first; neither for detections that do not count.
        scores: (N,) falling.
        num_objects: to be found.
    """
    precision, at = np.zeros((2, len(right), len(RECALLS)))
    if not len(scores):
        return precision, np.zeros(len(right)), at
    hits, misses = right.cumsum(axis=1), wrong.cumsum(axis=1)
    recall = hits / num_objects
    best = hits / (hits + misses + np.spacing(1))
    best = np.maximum.accumulate(best[:, ::-1], axis=1)[:, ::-1]
    for t in range(len(right)):
        place = np.searchsorted(recall[t], RECALLS, side="left")
        place = place[: np.searchsorted(place, len(scores))]
        precision[t, : len(place)], at[t, : len(place)] = best[t, place], scores[place]
    return precision, recall[:, -1], at
