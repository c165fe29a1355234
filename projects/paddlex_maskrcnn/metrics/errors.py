"""What goes wrong: kinds of error and what they cost, classes taken for each other, an AP of zero.

- The error split is TIDE's. Source: Bolya et al., TIDE: A General Toolbox for Identifying Object
  Detection Errors, ECCV 2020. Each false detection gets one kind, tried in the order Loc, Cls, Dupe,
  Bkg, Both; what a kind costs is the gain in AP at IoU 0.5 when it alone is mended. On data without
  crowd regions the counts and gains equal those of the authors' tidecv 1.0.1. Differences: a detection
  in a crowd region is no error, classes without objects take no part (tidecv: AP 0), a class with
  nothing left to find and nothing false is perfect.
- The confusion matrix has background on both sides.
- `why_undefined` and `why_zero` say in a sentence where to look.

All need `Overlaps` that are complete: the pairs of different classes too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .matching import Matches, curve
from .overlaps import LEAST, Overlaps
from .truth import Truth

KINDS_OF_ERROR = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
MEANING = {
    "Cls": "right place, wrong class",
    "Loc": "right class, overlap from 0.1 to 0.5",
    "Both": "wrong class and badly placed",
    "Dupe": "the object was found by a better detection",
    "Bkg": "nothing is there",
    "Miss": "an object nothing points at",
}
BACKGROUND = "background"  # in the confusion matrix
NONE = -1  # no object, no kind of error
_NOT_COUNTED = -2
_IOU = 0.5  # from which a detection may belong to an object, as in the matches


@dataclass(frozen=True)
class ErrorSplit:
    """Errors of boxes or masks.

    Attributes:
        ap50: mean AP at IoU 0.5 over the classes with objects; NaN without any.
        gains: kind -> what AP at IoU 0.5 would gain if these errors were mended.
        counts: kind -> how many there are.
        counts_by_class: kind -> (K,) by class of the detection, for Miss of the object.
        of_detection: (N,) index into `KINDS_OF_ERROR`, -1 for none, as in the overlaps.
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
    """All that AP depends on: the detections that take part, and how many objects there are."""

    scores: np.ndarray
    classes: np.ndarray
    right: np.ndarray
    counts: np.ndarray
    num_objects: np.ndarray
    annotated: np.ndarray  # (K,) bool: classes that had objects to begin with

    def mean_ap(self) -> float:
        values = []
        for k in np.flatnonzero(self.annotated):
            mine = self.counts & (self.classes == k)
            right = self.right[mine]
            if self.num_objects[k]:
                line = curve(self.scores[mine], right, int(self.num_objects[k]))
                values.append(line.average_precision)
            else:
                values.append(float(right.all()))
        return float(np.mean(values)) if values else float("nan")


def split_errors(overlaps: Overlaps, matches: Matches) -> ErrorSplit:
    """Name each error and what it costs.

    Args:
        overlaps: of boxes or masks, complete.
        matches: at IoU 0.5.
    """
    truth = overlaps.truth
    kinds, target = _kinds(overlaps, matches)
    free = ~truth.crowd
    free[matches.target[matches.right]] = False
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
    num_right = np.bincount(overlaps.classes[matches.right], minlength=len(num_objects))
    only_right = replace(points, counts=points.counts & points.right)
    return ErrorSplit(
        ap50=base,
        gains={kind: max(0.0, without.mean_ap() - base) for kind, without in mended.items()},
        counts={kind: int(counts.sum()) for kind, counts in by_class.items()},
        counts_by_class=by_class,
        of_detection=kinds,
        missed=missed,
        perfect_precision=only_right.mean_ap() - base,
        perfect_recall=replace(points, num_objects=num_right).mean_ap() - base,
    )


def _kinds(overlaps: Overlaps, matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    """Kind of each detection, and the object that a Loc or Cls error points at (else -1)."""
    truth = overlaps.truth
    real, own = ~truth.crowd[overlaps.object], overlaps.of_own_class
    own_iou, own_object = _best(overlaps, real & own)
    other_iou, other_object = _best(overlaps, real & ~own)
    wrong = matches.counts & (matches.target < 0)
    loc = wrong & (own_iou >= LEAST) & (own_iou < _IOU)
    cls = wrong & ~loc & (other_iou >= _IOU)
    dupe = wrong & ~loc & ~cls & (own_iou >= _IOU)
    background = wrong & ~loc & ~cls & ~dupe & (np.maximum(own_iou, other_iou) < LEAST)
    both = wrong & ~loc & ~cls & ~dupe & ~background
    kinds = np.full(len(wrong), NONE)
    for name, which in zip(KINDS_OF_ERROR, (cls, loc, both, dupe, background), strict=False):
        kinds[which] = KINDS_OF_ERROR.index(name)
    return kinds, np.select([loc, cls], [own_object, other_object], default=NONE)


def _best(overlaps: Overlaps, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest IoU of each detection over some pairs, and its object, the first of equal ones."""
    detection, target, iou = (
        column[pairs] for column in (overlaps.detection, overlaps.object, overlaps.iou)
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
    without = {}
    for i, kind in enumerate(KINDS_OF_ERROR[:-1]):
        these = kinds == i
        mended = these & chosen & np.isin(kind, ("Cls", "Loc"))
        classes = points.classes.copy()
        classes[mended] = overlaps.truth.classes[target[mended]]
        without[kind] = replace(
            points,
            classes=classes,
            right=points.right | mended,
            counts=points.counts & ~(these & ~mended),
        )
    fewer = np.bincount(overlaps.truth.classes[missed], minlength=len(points.num_objects))
    without["Miss"] = replace(points, num_objects=points.num_objects - fewer)
    return without


def _by_class(overlaps: Overlaps, kinds: np.ndarray, missed: np.ndarray) -> dict[str, np.ndarray]:
    size = len(overlaps.truth.names)
    counts = {
        kind: np.bincount(overlaps.classes[kinds == i], minlength=size)
        for i, kind in enumerate(KINDS_OF_ERROR[:-1])
    }
    return counts | {"Miss": np.bincount(overlaps.truth.classes[missed], minlength=size)}


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


def confusion_matrix(overlaps: Overlaps, matches: Matches, threshold: float) -> Confusion:
    """Count.

    Args:
        overlaps: of boxes or masks, complete.
        matches: at IoU 0.5.
        threshold: score from which detections take part.
    """
    truth = overlaps.truth
    size = len(truth.names) + 1
    target = _pair_across_classes(overlaps, matches, threshold)
    takes_part, paired = target > _NOT_COUNTED, target >= 0
    matrix = np.zeros((size, size), int)
    annotated = np.full(len(target), size - 1)
    annotated[paired] = truth.classes[target[paired]]
    np.add.at(matrix, (annotated[takes_part], overlaps.classes[takes_part]), 1)
    missed = ~truth.crowd
    missed[target[paired]] = False
    np.add.at(matrix, (truth.classes[missed], size - 1), 1)
    return Confusion(matrix, [*truth.names, BACKGROUND], _IOU, threshold)


def _pair_across_classes(overlaps: Overlaps, matches: Matches, threshold: float) -> np.ndarray:
    """The object of each detection, whatever its class; -1 none, -2 not counted.

    Greedy: the best score chooses first, and takes the free object of highest IoU; of equal ones
    that of its own class, then the first. Crowd regions take no part, but a detection that finds
    nothing else and lies in one of its class is not counted; nor is one under the threshold.
    """
    truth = overlaps.truth
    target = np.where(overlaps.scores >= threshold, NONE, _NOT_COUNTED)
    usable = (
        (overlaps.iou >= _IOU)
        & ~truth.crowd[overlaps.object]
        & (target[overlaps.detection] == NONE)
    )
    detection, wanted = overlaps.detection[usable], overlaps.object[usable]
    order = np.lexsort((wanted, ~overlaps.of_own_class[usable], -overlaps.iou[usable], detection))
    taken: set[int] = set()
    for row, choice in zip(detection[order].tolist(), wanted[order].tolist(), strict=True):
        if target[row] == NONE and choice not in taken:
            taken.add(choice)
            target[row] = choice
    target[(target == NONE) & ~matches.counts] = _NOT_COUNTED
    return target


def why_undefined(truth: Truth, name: str) -> str:
    """Of data without an object that counts; empty when there is one.

    Args:
        name: what messages call the data.
    """
    if truth.num_objects.sum():
        return ""
    if len(truth.crowd):
        return (
            f"AP is undefined: all {len(truth.crowd)} annotations of {name} are crowd regions or "
            "marked to be ignored"
        )
    return f"AP is undefined: {name} has no annotated object in its {len(truth.image_ids)} images"


def why_zero(overlaps: Overlaps) -> str:
    """Of detections of which none finds an object at IoU 0.5.

    Args:
        overlaps: of at least one detection, complete.
    """
    truth = overlaps.truth
    real = ~truth.crowd[overlaps.object]
    own = real & overlaps.of_own_class
    best = overlaps.iou[own].max(initial=0.0)
    crossed = len(np.unique(overlaps.detection[real & ~own & (overlaps.iou >= _IOU)]))
    total = len(overlaps.scores)
    text = (
        f"AP is 0: none of {total} detections (highest score {overlaps.scores.max():.3f}) overlaps "
        f"an object of its class by half; the best overlap is {best:.2f}"
    )
    if crossed:
        return text + (
            f". {crossed} overlap an object of another class by half: are the classes of the model "
            "and of the data in the same order?"
        )
    if not len(overlaps.iou):
        return text + ". None touches any object: do annotations and images belong together?"
    return text + "; train longer"
