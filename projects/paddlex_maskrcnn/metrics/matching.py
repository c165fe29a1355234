"""Which detection finds which object, by COCO's rule, and the precision and recall that follow.

Origin: pycocotools' `COCOeval.evaluateImg` and `accumulate`, whose numbers these are (tested); here
only pairs that overlap are looked at, so that one IoU of a large data set takes a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .overlaps import Overlaps

RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Matches:
    """What became of each detection of an `Overlaps`, at one IoU, class by class.

    Attributes:
        target: (N,) the object it finds, -1 for none.
        counts: (N,) bool; False for detections in crowd regions or beside the sizes asked for.
        objects: (M,) bool: the objects that are to be found.
    """

    target: np.ndarray
    counts: np.ndarray
    objects: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """(N,) bool: counts and finds an object."""
        return self.counts & (self.target >= 0)


def match(
    overlaps: Overlaps,
    iou: float = 0.5,
    area: tuple[float, float] | None = None,
    ignore_other_classes: np.ndarray | None = None,
) -> Matches:
    """Match detections with objects of their class, best score first.

    Args:
        overlaps: of boxes or masks.
        iou: from which a detection may find an object; at least `overlaps.least`.
        area: sizes in square pixels that count; None: all.
        ignore_other_classes: (K, K) bool; row k says which other classes' objects are crowd regions
            to detections of class k. None: none.
    """
    return next(match_at(overlaps, (iou,), area, ignore_other_classes))


def match_at(
    overlaps: Overlaps,
    ious: Sequence[float],
    area: tuple[float, float] | None = None,
    ignore_other_classes: np.ndarray | None = None,
) -> Iterator[Matches]:
    """`match` at one IoU after the other, sorted once for all.

    Args:
        ious: rising.
    """
    truth = overlaps.truth
    counted, beside = ~truth.crowd, np.zeros(len(overlaps.scores), bool)
    if area is not None:
        counted &= (truth.areas >= area[0]) & (truth.areas <= area[1])
        beside = (overlaps.areas < area[0]) | (overlaps.areas > area[1])
    assert ious[0] >= overlaps.least, "pairs of less overlap are gone"
    pairs = _in_order_of_choice(overlaps, counted, ious[0], ignore_other_classes)
    last = ious[0]
    for iou in ious:
        assert iou >= last, "pairs of less overlap are gone"
        last, pairs = iou, pairs.at(iou)
        target, ignored = _assign(pairs, len(overlaps.scores), len(counted))
        yield Matches(target, ~(ignored | (beside & (target < 0))), counted)


@dataclass(frozen=True)
class _Pairs:
    """Pairs that may match, of each detection the one it prefers first.

    Attributes:
        detection, object, iou: (P,).
        shared: (P,) bool: any number of detections may find the object, as it is a crowd region.
        ignored: (P,) bool: a detection that finds it does not count.
    """

    detection: np.ndarray
    object: np.ndarray
    iou: np.ndarray
    shared: np.ndarray
    ignored: np.ndarray

    def __getitem__(self, which: np.ndarray) -> _Pairs:
        return _Pairs(*(column[which] for column in vars(self).values()))

    def at(self, iou: float) -> _Pairs:
        return self[self.iou >= _reached(iou)]


def _reached(iou: float) -> float:
    """COCO's guard: an overlap that is 1 but for rounding counts as 1."""
    return min(iou, 1 - 1e-10)


def _in_order_of_choice(
    overlaps: Overlaps, counted: np.ndarray, iou: float, ignore_other_classes: np.ndarray | None
) -> _Pairs:
    """Objects that count before those that do not, high IoU before low, late before early."""
    truth, own = overlaps.truth, overlaps.of_own_class
    usable = own
    if ignore_other_classes is not None:
        mine, other = overlaps.classes[overlaps.detection], truth.classes[overlaps.object]
        usable = own | ignore_other_classes[mine, other]
    pairs = _Pairs(
        overlaps.detection, overlaps.object, overlaps.iou,
        truth.crowd[overlaps.object] | ~own, ~counted[overlaps.object] | ~own,
    )  # fmt: skip
    pairs = pairs[usable & (overlaps.iou >= _reached(iou))]
    return pairs[np.lexsort((-pairs.object, -pairs.iou, pairs.ignored, pairs.detection))]


def _assign(pairs: _Pairs, num_detections: int, num_objects: int) -> tuple[np.ndarray, np.ndarray]:
    """Object of each detection (-1: none) and whether that one is to be ignored.

    The best-scoring detection chooses first, and only shared objects can be found again. All choose at
    once that nobody before them can disturb: those who want an object that no earlier one still may
    want. The first of all is always among them, so it ends; with few contested objects after few rounds.
    """
    target, ignored = np.full(num_detections, -1), np.zeros(num_detections, bool)
    taken, earliest = np.zeros(num_objects, bool), np.zeros(num_objects, int)
    while len(pairs.detection):
        earliest[pairs.object[::-1]] = pairs.detection[::-1]  # the last one written stays
        favourite = np.r_[True, np.diff(pairs.detection) > 0]
        sure = pairs[favourite & (pairs.shared | (earliest[pairs.object] == pairs.detection))]
        target[sure.detection], ignored[sure.detection] = sure.object, sure.ignored
        taken[sure.object[~sure.shared]] = True
        pairs = pairs[(target[pairs.detection] < 0) & (pairs.shared | ~taken[pairs.object])]
    return target, ignored


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
        index = np.searchsorted(self.recall, RECALLS, side="left")
        reached = index < len(best)
        precision, scores = np.zeros(101), np.zeros(101)
        precision[reached], scores[reached] = best[index[reached]], self.scores[index[reached]]
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
    of_classes = []
    for k, number in enumerate(num_objects.tolist()):
        mine = matches.counts & (overlaps.classes == k)
        of_classes.append(curve(overlaps.scores[mine], matches.right[mine], number))
    return of_classes


def curve_of_all(overlaps: Overlaps, matches: Matches) -> Curve:
    """All classes together, every object of the same weight."""
    counts = matches.counts
    return curve(overlaps.scores[counts], matches.right[counts], int(matches.objects.sum()))
