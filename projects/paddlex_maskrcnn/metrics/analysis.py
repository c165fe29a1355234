"""All numbers about one kind of result, from one comparison of detections with annotations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .average_precision import AveragePrecision, average_precision
from .calibration import Calibration, calibration
from .coco_backends import AUTO
from .confusion import Confusion, confusion_matrix
from .error_split import ErrorSplit, split_errors
from .image_scores import ImageScore, image_scores
from .matching import Curve, curves, match
from .overlaps import Overlaps, find_overlaps
from .results import ResultRows
from .thresholds import OperatingPoint, best_point, curve_of_all
from .truth import Truth

ANY_SCORE = 0.5  # the threshold when no score gives a single right detection


@dataclass(frozen=True)
class Analysis:
    """Boxes or masks of a data set.

    Attributes:
        kind: `bbox` or `segm`.
        overlaps: detections and the objects they overlap.
        average_precision: COCO's numbers and each class's best threshold.
        curves: precision over recall at IoU 0.5, one a class.
        together: the same of all classes as if they were one.
        point: the best single score for all classes.
        threshold: the score used for the confusion matrix and the images: that of `point`, or the
            user's.
        confusion, errors, calibration, images: see their classes; at IoU 0.5.
    """

    kind: str
    overlaps: Overlaps
    average_precision: AveragePrecision
    curves: list[Curve]
    together: Curve
    point: OperatingPoint
    threshold: float
    confusion: Confusion
    errors: ErrorSplit
    calibration: Calibration
    images: list[ImageScore]

    @property
    def truth(self) -> Truth:
        """The annotations."""
        return self.overlaps.truth

    def as_plain(self) -> dict[str, Any]:
        """The numbers as plain data; the curves are left out."""
        errors = self.errors
        return {
            "kind": self.kind,
            "threshold": self.threshold,
            "average_precision": _plain(self.average_precision)
            | {"best": {name: _plain(one) for name, one in self.average_precision.best.items()}},
            "all_classes_at_best_score": _plain(self.point),
            "confusion": {"names": self.confusion.names, "matrix": self.confusion.matrix.tolist()},
            "errors": {
                "ap50": errors.ap50,
                "gains": errors.gains,
                "counts": errors.counts,
                "counts_by_class": {k: v.tolist() for k, v in errors.counts_by_class.items()},
                "perfect_precision": errors.perfect_precision,
                "perfect_recall": errors.perfect_recall,
            },
            "calibration": {k: _listed(v) for k, v in _plain(self.calibration).items()},
            "images": [
                {
                    name: getattr(one, name)
                    for name in ("image_id", "f1", "right", "missed", "false")
                }
                for one in self.images
            ],
        }


def analyse(
    truth: Any,
    results: Sequence[dict[str, Any]],
    kind: str,
    max_detections: int = 100,
    threshold: float | None = None,
    backend: str = AUTO,
) -> Analysis:
    """Compute everything.

    Args:
        truth: annotations: a COCO dict, pycocotools' `COCO`, or a `Truth`.
        results: COCO result dicts with what the kind needs.
        kind: `bbox` or `segm`.
        max_detections: results of a class in an image that count, best first; at least 100 do.
        threshold: score from which a detection is shown and counted in the confusion matrix and the
            images; None: the one with the best F1 over all classes.
        backend: auto, built-in, hotcoco, faster-coco-eval or pycocotools.

    Raises:
        ValueError: for results that do not belong to the annotations.
    """
    known, rows = Truth.of(truth), ResultRows.of(results)
    overlaps = find_overlaps(known, rows, kind, max(100, max_detections))
    matches = match(overlaps)
    together = curve_of_all(overlaps, matches)
    point = best_point(together)
    if threshold is None:
        threshold = ANY_SCORE if math.isnan(point.threshold) else point.threshold
    return Analysis(
        kind=kind,
        overlaps=overlaps,
        average_precision=average_precision(known, rows, kind, max_detections, backend, overlaps),
        curves=curves(overlaps, matches),
        together=together,
        point=point,
        threshold=threshold,
        confusion=confusion_matrix(overlaps, threshold),
        errors=split_errors(overlaps, matches),
        calibration=calibration(overlaps, matches),
        images=image_scores(overlaps, threshold),
    )


def _plain(one: Any) -> dict[str, Any]:
    return dict(vars(one))


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
