"""COCO's average precision and recall, and precision, recall and F1 at each class's best score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .coco_arrays import AREAS, CocoArrays, coco_arrays_of
from .coco_backends import AUTO, BUILT_IN, choose_backend, coco_arrays, pairs_for_ap
from .matching import match
from .overlaps import Overlaps
from .results import ResultRows
from .thresholds import OperatingPoint, best_points
from .truth import Truth

SIZES = tuple(AREAS)[1:]


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

    def mean_of_best(self, name: str) -> float:
        """Mean over classes of `precision`, `recall` or `f1` at their best scores."""
        values = [getattr(one, name) for one in self.best.values() if one.num_objects]
        return float(np.mean(np.nan_to_num(values))) if values else float("nan")


def average_precision(
    truth: Any,
    results: Sequence[dict[str, Any]],
    kind: str,
    max_detections: int = 100,
    backend: str = AUTO,
    overlaps: Overlaps | None = None,
) -> AveragePrecision:
    """Evaluate COCO results.

    Args:
        truth: annotations: pycocotools' `COCO`, a COCO dict, or a `Truth`.
        results: COCO result dicts; those of one kind need `bbox` or `segmentation`.
        kind: `bbox` or `segm`.
        max_detections: results of a class in an image that count, best first; at least 100 do.
        backend: auto, built-in, hotcoco, faster-coco-eval or pycocotools; without effect on the numbers.
        overlaps: of the same results, when they are known: pairs from IoU 0.5 or less.

    Raises:
        ValueError: for a back end that is not there, and results of other data.
    """
    known, rows = Truth.of(truth), ResultRows.of(results)
    chosen = choose_backend(backend)
    overlaps = overlaps or pairs_for_ap(known, rows, kind, max_detections)
    if chosen == BUILT_IN:
        arrays = coco_arrays_of(overlaps)
    else:
        arrays = coco_arrays(known, rows, kind, max_detections, chosen)
    return AveragePrecision(**_means(known, arrays), best=best_points(overlaps, match(overlaps)))


def _means(truth: Truth, arrays: CocoArrays) -> dict[str, Any]:
    precision, recall = arrays.precision, arrays.recall
    of_class = list(enumerate(truth.names))
    return {
        "ap": _mean(precision[..., 0]),
        "ap50": _mean(precision[0, ..., 0]),
        "ap75": _mean(precision[5, ..., 0]),
        "recall": _mean(recall[..., 0]),
        "by_area": {size: _mean(precision[..., i]) for i, size in enumerate(SIZES, 1)},
        "recall_by_area": {size: _mean(recall[..., i]) for i, size in enumerate(SIZES, 1)},
        "by_class": {name: _mean(precision[:, :, k, 0]) for k, name in of_class},
        "ap50_by_class": {name: _mean(precision[0, :, k, 0]) for k, name in of_class},
        "ap75_by_class": {name: _mean(precision[5, :, k, 0]) for k, name in of_class},
        "recall_by_class": {name: _mean(recall[:, k, 0]) for k, name in of_class},
    }


def _mean(values: np.ndarray) -> float:
    """Mean of what is defined (-1 marks classes and areas without annotations)."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")
