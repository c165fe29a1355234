"""What kinds of error cost how much AP: the six of TIDE.

Source: Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020. Each
false detection gets one kind, tried in the order Loc, Cls, Dupe, Bkg, Both; what a kind costs is the
gain in AP at IoU 0.5 when it alone is mended. On data without crowd regions the counts and gains equal those
of the authors' tidecv 1.0.1. Differences: a detection in a crowd region is no error, classes without
objects take no part (tidecv: AP 0), a class with nothing left to find and nothing false is perfect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .matching import Matches, curve, match
from .overlaps import LEAST, Overlaps

KINDS_OF_ERROR = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
MEANING = {
    "Cls": "right place, wrong class",
    "Loc": "right class, overlap from 0.1 to 0.5",
    "Both": "wrong class and badly placed",
    "Dupe": "the object was found by a better detection",
    "Bkg": "nothing is there",
    "Miss": "an object nothing points at",
}
NONE = -1


@dataclass(frozen=True)
class ErrorSplit:
    """Errors of boxes or masks.

    Attributes:
        ap50: mean AP at IoU 0.5 over the classes with objects; NaN without any.
        gains: kind -> what AP at IoU 0.5 would gain if these errors were mended.
        counts: kind -> how many there are.
        counts_by_class: kind -> (K,) by class of the detection, for Miss of the object.
        of_detection: (N,) place in `KINDS_OF_ERROR`, -1 for none, as in the overlaps.
        missed: (M,) bool, the objects counted as Miss.
        perfect_precision, perfect_recall: the gain without false detections; with all objects found.
    """

    ap50: float
    gains: dict[str, float]
    counts: dict[str, int]
    counts_by_class: dict[str, np.ndarray]
    of_detection: np.ndarray
    missed: np.ndarray
    perfect_precision: float
    perfect_recall: float


@dataclass(frozen=True)
class _Points:
    """All that AP depends on: what is kept of the detections, and how many objects there are."""

    scores: np.ndarray
    classes: np.ndarray
    right: np.ndarray
    kept: np.ndarray
    num_objects: np.ndarray
    annotated: np.ndarray  # (K,) bool: classes that had objects to begin with

    def mean_ap(self) -> float:
        found = []
        for k in np.flatnonzero(self.annotated):
            mine = self.kept & (self.classes == k)
            right = self.right[mine]
            if self.num_objects[k]:
                one = curve(self.scores[mine], right, int(self.num_objects[k]))
                found.append(one.average_precision)
            else:
                found.append(float(right.all()))
        return float(np.mean(found)) if found else float("nan")


def split_errors(overlaps: Overlaps, matches: Matches | None = None) -> ErrorSplit:
    """Name each error and what it costs.

    Args:
        overlaps: of boxes or masks.
        matches: at IoU 0.5; None: found here.
    """
    matches = matches or match(overlaps)
    truth = overlaps.truth
    kinds, target = _kinds(overlaps, matches)
    free = ~truth.crowd
    free[matches.found[matches.right]] = False
    missed = free.copy()
    missed[target[target >= 0]] = False
    num_objects = truth.num_objects
    points = _Points(
        overlaps.scores, overlaps.classes, matches.right, matches.counts, num_objects,
        num_objects > 0,
    )  # fmt: skip
    base = points.mean_ap()
    mended = _mended(points, overlaps, kinds, _first_at(overlaps, target, free), target, missed)
    by_class = _by_class(overlaps, kinds, missed)
    found = np.bincount(overlaps.classes[matches.right], minlength=len(num_objects))
    only_right = replace(points, kept=points.kept & points.right)
    return ErrorSplit(
        ap50=base,
        gains={kind: max(0.0, one.mean_ap() - base) for kind, one in mended.items()},
        counts={kind: int(counts.sum()) for kind, counts in by_class.items()},
        counts_by_class=by_class,
        of_detection=kinds,
        missed=missed,
        perfect_precision=only_right.mean_ap() - base,
        perfect_recall=replace(points, num_objects=found).mean_ap() - base,
    )


def _kinds(overlaps: Overlaps, matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    """Kind of each detection, and the object that a Loc or Cls error points at (else -1)."""
    truth = overlaps.truth
    real, own = ~truth.crowd[overlaps.object], overlaps.of_own_class
    own_iou, own_object = _best(overlaps, real & own)
    other_iou, other_object = _best(overlaps, real & ~own)
    wrong = matches.counts & (matches.found < 0)
    loc = wrong & (own_iou >= LEAST) & (own_iou < 0.5)
    cls = wrong & ~loc & (other_iou >= 0.5)
    dupe = wrong & ~loc & ~cls & (own_iou >= 0.5)
    background = wrong & ~loc & ~cls & ~dupe & (np.maximum(own_iou, other_iou) < LEAST)
    both = wrong & ~loc & ~cls & ~dupe & ~background
    kinds = np.full(len(wrong), NONE)
    for name, which in zip(KINDS_OF_ERROR, (cls, loc, both, dupe, background), strict=False):
        kinds[which] = KINDS_OF_ERROR.index(name)
    return kinds, np.select([loc, cls], [own_object, other_object], default=NONE)


def _best(overlaps: Overlaps, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest IoU of each detection over some pairs, and its object, the first of equal ones."""
    detection, target, iou = (
        one[pairs] for one in (overlaps.detection, overlaps.object, overlaps.iou)
    )
    order = np.lexsort((-target, iou, detection))  # the last of a detection is its best
    best, at = np.zeros(len(overlaps.scores)), np.full(len(overlaps.scores), NONE)
    best[detection[order]], at[detection[order]] = iou[order], target[order]
    return best, at


def _first_at(overlaps: Overlaps, target: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(N,) bool: errors that find an object once mended: the best-scoring of each free object."""
    chosen = np.zeros(len(target), bool)
    candidates = np.flatnonzero(target >= 0)
    candidates = candidates[free[target[candidates]]]
    candidates = candidates[np.argsort(-overlaps.scores[candidates], kind="stable")]
    _, first = np.unique(target[candidates], return_index=True)
    chosen[candidates[first]] = True
    return chosen


def _mended(
    points: _Points,
    overlaps: Overlaps,
    kinds: np.ndarray,
    chosen: np.ndarray,
    target: np.ndarray,
    missed: np.ndarray,
) -> dict[str, _Points]:
    """The detections without one kind of error, for each kind."""
    found = {}
    for i, kind in enumerate(KINDS_OF_ERROR[:-1]):
        these = kinds == i
        mended = these & chosen & np.isin(kind, ("Cls", "Loc"))
        classes = points.classes.copy()
        classes[mended] = overlaps.truth.classes[target[mended]]
        found[kind] = replace(
            points,
            classes=classes,
            right=points.right | mended,
            kept=points.kept & ~(these & ~mended),
        )
    fewer = np.bincount(overlaps.truth.classes[missed], minlength=len(points.num_objects))
    found["Miss"] = replace(points, num_objects=points.num_objects - fewer)
    return found


def _by_class(overlaps: Overlaps, kinds: np.ndarray, missed: np.ndarray) -> dict[str, np.ndarray]:
    size = len(overlaps.truth.names)
    counts = {
        kind: np.bincount(overlaps.classes[kinds == i], minlength=size)
        for i, kind in enumerate(KINDS_OF_ERROR[:-1])
    }
    return counts | {"Miss": np.bincount(overlaps.truth.classes[missed], minlength=size)}
