"""COCO's average precision and recall, and precision, recall and F1 at the scores where F1 is best.

Origin: pycocotools' `COCOeval.accumulate` and `summarize`, whose numbers these are to the last digit
(tested), the guard against a division by zero included. Differences: matching and counting work on all
images of a class at once; as many detections of an image count as the model leaves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .matching import RECALLS, Curve, Matches, match_at
from .overlaps import Overlaps
from .scores import UNDEFINED, OperatingPoint, best_point

# sizes of objects in square pixels
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2),
         "large": (96.0**2, 1e10)}  # fmt: skip
SIZES = tuple(AREAS)[1:]
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
_AT_50, _AT_75 = 0, 5  # in IOU_THRESHOLDS
_LONGEST_NAME = 24  # characters of a class in a table


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


@dataclass(frozen=True)
class AveragePrecision:
    """AP of one kind of result, fractions; NaN where no annotation could be found.

    Attributes:
        ap: mean over IoU 0.5 to 0.95, ap50, ap75: at that IoU.
        recall: AR, mean over IoU, at the limit of detections an image.
        by_area, recall_by_area: AP and AR of COCO's small, medium and large objects.
        by_class, ap50_by_class, ap75_by_class, recall_by_class: class name -> AP, at IoU 0.5, at
            0.75, AR.
        best: class name -> precision, recall and F1 at IoU 0.5 at the score where F1 is highest.
        overall: the same of all classes together, at one score for all.
    """

    ap: float
    ap50: float
    ap75: float
    recall: float
    by_area: dict[str, float] = field(default_factory=dict)
    by_class: dict[str, float] = field(default_factory=dict)
    ap50_by_class: dict[str, float] = field(default_factory=dict)
    ap75_by_class: dict[str, float] = field(default_factory=dict)
    recall_by_area: dict[str, float] = field(default_factory=dict)
    recall_by_class: dict[str, float] = field(default_factory=dict)
    best: dict[str, OperatingPoint] = field(default_factory=dict)
    overall: OperatingPoint = UNDEFINED


def match_all_sizes(overlaps: Overlaps) -> list[Matches]:
    """Matches at each of COCO's IoUs, the first one 0.5, objects of all sizes."""
    return list(match_at(overlaps, IOU_THRESHOLDS, AREAS["all"]))


def average_precision(
    overlaps: Overlaps, matches: Sequence[Matches], of_classes: Sequence[Curve], together: Curve
) -> AveragePrecision:
    """COCO's numbers.

    Args:
        overlaps: pairs of own class at least, from IoU 0.5 or less; as many detections as count.
        matches: by `match_all_sizes`.
        of_classes, together: curves at IoU 0.5, of each class and of all as if they were one.
    """
    names = overlaps.truth.names
    best = {name: best_point(line) for name, line in zip(names, of_classes, strict=True)}
    means = _means(names, coco_arrays(overlaps, matches))
    return AveragePrecision(**means, best=best, overall=best_point(together))


def coco_arrays(overlaps: Overlaps, matches: Sequence[Matches]) -> CocoArrays:
    """All arrays; arguments as of `average_precision`."""
    num_ious, num_classes = len(IOU_THRESHOLDS), len(overlaps.truth.category_ids)
    shape = (num_ious, len(RECALLS), num_classes, len(AREAS))
    arrays = CocoArrays(
        np.full(shape, -1.0), np.full(shape[:1] + shape[2:], -1.0), np.full(shape, -1.0)
    )
    order = np.lexsort((-overlaps.scores, overlaps.classes))  # equal scores in order of image
    scores = overlaps.scores[order]
    bounds = np.searchsorted(overlaps.classes[order], np.arange(num_classes + 1)).tolist()
    for a, (size, area) in enumerate(AREAS.items()):
        of_size = matches if size == "all" else list(match_at(overlaps, IOU_THRESHOLDS, area))
        right = np.stack([at_iou.right[order] for at_iou in of_size])
        wrong = np.stack([at_iou.counts[order] for at_iou in of_size]) & ~right
        objects = overlaps.truth.classes[of_size[0].objects]
        for k, number in enumerate(np.bincount(objects, minlength=num_classes).tolist()):
            if number:
                mine = slice(bounds[k], bounds[k + 1])
                columns = _of_class(right[:, mine], wrong[:, mine], scores[mine], number)
                arrays.precision[:, :, k, a], arrays.recall[:, k, a] = columns[:2]
                arrays.scores[:, :, k, a] = columns[2]
    return arrays


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
    best = hits / (hits + misses + np.spacing(1))  # as pycocotools, which the numbers have to equal
    best = np.maximum.accumulate(best[:, ::-1], axis=1)[:, ::-1]
    for t in range(len(right)):
        index = np.searchsorted(recall[t], RECALLS, side="left")
        index = index[: np.searchsorted(index, len(scores))]
        precision[t, : len(index)], at[t, : len(index)] = best[t, index], scores[index]
    return precision, recall[:, -1], at


def _means(names: Sequence[str], arrays: CocoArrays) -> dict[str, Any]:
    precision, recall = arrays.precision, arrays.recall
    of_class = list(enumerate(names))
    return {
        "ap": _mean(precision[..., 0]),
        "ap50": _mean(precision[_AT_50, ..., 0]),
        "ap75": _mean(precision[_AT_75, ..., 0]),
        "recall": _mean(recall[..., 0]),
        "by_area": {size: _mean(precision[..., i]) for i, size in enumerate(SIZES, 1)},
        "recall_by_area": {size: _mean(recall[..., i]) for i, size in enumerate(SIZES, 1)},
        "by_class": {name: _mean(precision[:, :, k, 0]) for k, name in of_class},
        "ap50_by_class": {name: _mean(precision[_AT_50, :, k, 0]) for k, name in of_class},
        "ap75_by_class": {name: _mean(precision[_AT_75, :, k, 0]) for k, name in of_class},
        "recall_by_class": {name: _mean(recall[:, k, 0]) for k, name in of_class},
    }


def _mean(values: np.ndarray) -> float:
    """Mean of what is defined (-1 marks classes and areas without annotations)."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")


def summary(bbox: AveragePrecision, segm: AveragePrecision) -> str:
    """All classes together: AP, AP by size and AR as fractions; `score` is the threshold of P, R and F1."""
    heads = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR", "P", "R", "F1", "score")
    lines = [f"{'':6}" + "".join(f"{head:>8}" for head in heads)]
    for name, numbers in (("bbox", bbox), ("segm", segm)):
        point = numbers.overall
        shown = (
            numbers.ap, numbers.ap50, numbers.ap75, *numbers.by_area.values(), numbers.recall,
            point.precision, point.recall, point.f1,
        )  # fmt: skip
        lines.append(f"{name:6}" + "".join(map(_fraction, shown)) + _score(point.threshold))
    return "\n".join(lines)


def class_table(numbers: AveragePrecision) -> str:
    """One line a class, fractions; `score` is the threshold at which P, R and F1 are."""
    width = min(_LONGEST_NAME, max((len(name) for name in numbers.by_class), default=0))
    heads = ("objects", "AP", "AP50", "AP75", "AR", "P", "R", "F1", "score")
    lines = [f"{'':{width}}" + "".join(f"{head:>8}" for head in heads)]
    for row in class_rows(numbers):
        name = row["name"] if len(row["name"]) <= width else row["name"][: width - 1] + "…"
        shown = (row[key] for key in ("ap", "ap50", "ap75", "ar", "precision", "recall", "f1"))
        text = f"{name:{width}}{row['objects']:8d}"
        lines.append(text + "".join(map(_fraction, shown)) + _score(row["threshold"]))
    return "\n".join(lines)


def class_rows(numbers: AveragePrecision) -> list[dict[str, Any]]:
    """A dict a class: name, objects, ap, ap50, ap75, ar, precision, recall, f1, threshold."""
    return [
        {
            "name": name,
            "objects": point.num_objects,
            "ap": numbers.by_class[name],
            "ap50": numbers.ap50_by_class[name],
            "ap75": numbers.ap75_by_class[name],
            "ar": numbers.recall_by_class[name],
            "precision": point.precision,
            "recall": point.recall,
            "f1": point.f1,
            "threshold": point.threshold,
        }
        for name, point in numbers.best.items()
    ]


def _fraction(number: float) -> str:
    return f"{'-':>8}" if math.isnan(number) else f"{number:8.4f}"


def _score(threshold: float) -> str:
    return f"{'-':>8}" if math.isnan(threshold) else f"{threshold:8.3f}"
