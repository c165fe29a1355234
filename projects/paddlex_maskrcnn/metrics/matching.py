"""Which detection finds which object, by COCO's rule, and the precision and recall that follow.

Origin: pycocotools' `COCOeval.evaluateImg` and `accumulate`, whose numbers these are (tested); here
only pairs that overlap are looked at, so that one IoU of a large data set takes a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .overlaps import Overlaps

RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Matches:
    """What became of each detection of an `Overlaps`, at one IoU, class by class.

    Attributes:
        found: (N,) the object it finds, -1 for none.
        counts: (N,) bool; False for detections in crowd regions or beside the sizes asked for.
        objects: (M,) bool: the objects that are to be found.
    """

    found: np.ndarray
    counts: np.ndarray
    objects: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """(N,) bool: counts and finds an object."""
        return self.counts & (self.found >= 0)


def match(
    overlaps: Overlaps,
    iou: float = 0.5,
    area: tuple[float, float] | None = None,
    ignore_other_classes: np.ndarray | None = None,
) -> Matches:
    """Match detections with objects of their class, best score first.

    Args:
        overlaps: of boxes or masks.
        iou: from which a detection may find an object; at least `overlaps.LEAST`.
        area: sizes in square pixels that count; None: all.
        ignore_other_classes: (K, K) bool; row k says which other classes' objects are crowd regions
            to detections of class k. None: none.
    """
    truth = overlaps.truth
    counted, beside = ~truth.crowd, np.zeros(len(overlaps.scores), bool)
    if area is not None:
        counted &= (truth.areas >= area[0]) & (truth.areas <= area[1])
        beside = (overlaps.areas < area[0]) | (overlaps.areas > area[1])
    own = overlaps.of_own_class
    usable = own.copy()
    if ignore_other_classes is not None:
        own_class, other = overlaps.classes[overlaps.detection], truth.classes[overlaps.object]
        usable |= ignore_other_classes[own_class, other]
    usable &= overlaps.iou >= min(iou, 1 - 1e-10)
    found, ignored = _assign(
        overlaps.detection[usable],
        overlaps.object[usable],
        overlaps.iou[usable],
        (truth.crowd[overlaps.object] | ~own)[usable],
        (~counted[overlaps.object] | ~own)[usable],
        len(overlaps.scores),
    )
    return Matches(found, ~(ignored | (beside & (found < 0))), counted)


def _assign(
    detection: np.ndarray,
    target: np.ndarray,
    iou: np.ndarray,
    crowd: np.ndarray,
    ignored: np.ndarray,
    size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Object of each detection (-1: none) and whether that one is to be ignored.

    A detection prefers objects that count; among those that are free the one of highest IoU, the
    later one of two that are equal; only crowd regions can be found again.
    """
    found, is_ignored = np.full(size, -1), np.zeros(size, bool)
    # best pair of a detection first: counted before ignored, high IoU before low, late before early
    order = np.lexsort((-target, -iou, ignored, detection))
    taken: set[int] = set()
    done = -1
    pairs = zip(
        detection[order].tolist(), target[order].tolist(), crowd[order].tolist(),
        ignored[order].tolist(), strict=True,
    )  # fmt: skip
    for one, other, many, ignore in pairs:
        if one == done or (not many and other in taken):
            continue
        if not many:
            taken.add(other)
        found[one], is_ignored[one], done = other, ignore, one
    return found, is_ignored


@dataclass(frozen=True)
class Curve:
    """Precision over recall of one class, every detection a point, best score first.

    Attributes:
        scores, precision, recall: (N,) after each detection; precision as it is, not smoothed.
        num_objects: to be found.
    """

    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    num_objects: int

    def at_recalls(self) -> tuple[np.ndarray, np.ndarray]:
        """COCO's (101,) precision, the best at this recall or more, and the scores there.

        Zero beyond the highest recall; NaN when there was nothing to find.
        """
        if not self.num_objects:
            return np.full(101, np.nan), np.full(101, np.nan)
        best = np.maximum.accumulate(self.precision[::-1])[::-1]
        place = np.searchsorted(self.recall, RECALLS, side="left")
        reached = place < len(best)
        precision, scores = np.zeros(101), np.zeros(101)
        precision[reached], scores[reached] = best[place[reached]], self.scores[place[reached]]
        return precision, scores

    @property
    def average_precision(self) -> float:
        """Mean of the precision at 101 recalls; NaN when there was nothing to find."""
        return float(self.at_recalls()[0].mean())


def curve(scores: np.ndarray, right: np.ndarray, num_objects: int) -> Curve:
    """The curve of detections that count.

    Args:
        scores: (N,) in order of image.
        right: (N,) bool.
        num_objects: to be found.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    total = np.arange(1, len(order) + 1)
    recall = hits / num_objects if num_objects else np.zeros(len(order))
    return Curve(scores[order], hits / total, recall, num_objects)


def curves(overlaps: Overlaps, matches: Matches) -> list[Curve]:
    """One curve a class."""
    truth = overlaps.truth
    num_objects = np.bincount(truth.classes[matches.objects], minlength=len(truth.category_ids))
    found = []
    for k, number in enumerate(num_objects.tolist()):
        mine = matches.counts & (overlaps.classes == k)
        found.append(curve(overlaps.scores[mine], matches.right[mine], number))
    return found
