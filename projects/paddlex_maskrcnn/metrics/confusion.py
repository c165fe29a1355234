"""Confusion matrix of detection: which class was taken for which, with background on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matching import match
from .overlaps import Overlaps

BACKGROUND = "background"


@dataclass(frozen=True)
class Confusion:
    """Counts of objects and detections.

    Attributes:
        matrix: (K + 1, K + 1) int: rows are the annotated classes, columns the predicted ones. The
            last column counts objects that nothing found, the last row detections of nothing.
        names: (K + 1,) class names, `background` last.
        iou, threshold: overlap and score from which detections took part.
    """

    matrix: np.ndarray
    names: list[str]
    iou: float
    threshold: float

    def worst(self, count: int = 10) -> list[tuple[str, str, int]]:
        """The most frequent mistakes: (annotated, predicted, how often)."""
        wrong = self.matrix.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        rows, columns = np.unravel_index(order, wrong.shape)
        return [
            (self.names[i], self.names[j], int(wrong[i, j]))
            for i, j in zip(rows, columns, strict=True)
            if wrong[i, j]
        ]


def pair_across_classes(overlaps: Overlaps, iou: float, threshold: float) -> np.ndarray:
    """The object of each detection, whatever its class; -1 none, -2 not counted.

    Greedy: the best score chooses first, and takes the free object of highest IoU; of equal ones
    that of its own class, then the first. Crowd regions take no part, but a detection that finds
    nothing else and lies in one of its class is not counted; nor is one under the threshold.
    """
    truth = overlaps.truth
    found = np.where(overlaps.scores >= threshold, -1, -2)
    in_crowd = match(overlaps, iou).counts
    usable = (
        (overlaps.iou >= min(iou, 1 - 1e-10))
        & ~truth.crowd[overlaps.object]
        & (found[overlaps.detection] == -1)
    )
    detection, target = overlaps.detection[usable], overlaps.object[usable]
    order = np.lexsort((target, ~overlaps.of_own_class[usable], -overlaps.iou[usable], detection))
    taken: set[int] = set()
    for one, other in zip(detection[order].tolist(), target[order].tolist(), strict=True):
        if found[one] == -1 and other not in taken:
            taken.add(other)
            found[one] = other
    found[(found == -1) & ~in_crowd] = -2
    return found


def confusion_matrix(overlaps: Overlaps, threshold: float, iou: float = 0.5) -> Confusion:
    """Count.

    Args:
        overlaps: of boxes or masks.
        threshold: score from which detections take part.
        iou: from which a detection may belong to an object.
    """
    truth = overlaps.truth
    size = len(truth.names) + 1
    found = pair_across_classes(overlaps, iou, threshold)
    takes_part, paired = found > -2, found >= 0
    matrix = np.zeros((size, size), int)
    annotated = np.full(len(found), size - 1)
    annotated[paired] = truth.classes[found[paired]]
    np.add.at(matrix, (annotated[takes_part], overlaps.classes[takes_part]), 1)
    missed = ~truth.crowd
    missed[found[paired]] = False
    np.add.at(matrix, (truth.classes[missed], size - 1), 1)
    return Confusion(matrix, [*truth.names, BACKGROUND], iou, threshold)
