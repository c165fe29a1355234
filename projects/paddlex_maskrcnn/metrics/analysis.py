"""Where a model is right and where it fails, from a comparison of its detections with the annotations."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from .average_precision import AveragePrecision
from .errors import Confusion, ErrorSplit, confusion_matrix, split_errors
from .evaluation import Comparison
from .matching import Curve
from .overlaps import Overlaps, complete
from .scores import Calibration, ImageScore, OperatingPoint, calibration, image_scores
from .truth import Truth

ANY_SCORE = 0.5  # the threshold when no score gives a single right detection


@dataclass(frozen=True)
class Analysis:
    """Boxes or masks of a data set.

    Attributes:
        comparison: detections, objects, average precision and curves, as the evaluation has them.
        threshold: the score used for the confusion matrix and the images: that of `point`, or the
            user's.
        confusion, errors, calibration, images: see their classes; at IoU 0.5.
    """

    comparison: Comparison
    threshold: float
    confusion: Confusion
    errors: ErrorSplit
    calibration: Calibration
    images: list[ImageScore]

    @property
    def overlaps(self) -> Overlaps:
        """Detections and the objects they overlap."""
        return self.comparison.overlaps

    @property
    def kind(self) -> str:
        """`bbox` or `segm`."""
        return self.overlaps.kind

    @property
    def truth(self) -> Truth:
        """The annotations."""
        return self.overlaps.truth

    @property
    def average_precision(self) -> AveragePrecision:
        """COCO's numbers, and precision, recall and F1 at the best scores."""
        return self.comparison.average_precision

    @property
    def point(self) -> OperatingPoint:
        """Precision, recall and F1 at the best single score for all classes."""
        return self.average_precision.overall

    @property
    def curves(self) -> list[Curve]:
        """Precision over recall at IoU 0.5, one a class."""
        return self.comparison.curves

    @property
    def together(self) -> Curve:
        """The same of all classes as if they were one."""
        return self.comparison.together

    def as_plain(self) -> dict[str, Any]:
        """The numbers as plain data; the curves are left out."""
        errors = self.errors
        return {
            "kind": self.kind,
            "threshold": self.threshold,
            "average_precision": asdict(self.average_precision),
            "all_classes_at_best_score": asdict(self.point),
            "confusion": {"names": self.confusion.names, "matrix": self.confusion.matrix.tolist()},
            "errors": {
                "ap50": errors.ap50,
                "gains": errors.gains,
                "counts": errors.counts,
                "counts_by_class": {k: v.tolist() for k, v in errors.counts_by_class.items()},
                "perfect_precision": errors.perfect_precision,
                "perfect_recall": errors.perfect_recall,
            },
            "calibration": {
                name: value.tolist() if hasattr(value, "tolist") else value
                for name, value in vars(self.calibration).items()
            },
            "images": [
                {
                    name: getattr(image, name)
                    for name in ("image_id", "f1", "right", "missed", "false")
                }
                for image in self.images
            ],
        }


def analyse(comparison: Comparison, threshold: float | None = None) -> Analysis:
    """Compute what an evaluation does not need.

    Args:
        threshold: score from which a detection is shown and counted in the confusion matrix and the
            images; None: the one with the best F1 over all classes.
    """
    overlaps, matches = complete(comparison.overlaps), comparison.matches
    if threshold is None:
        best = comparison.average_precision.overall.threshold
        threshold = ANY_SCORE if math.isnan(best) else best
    return Analysis(
        comparison=comparison,
        threshold=threshold,
        confusion=confusion_matrix(overlaps, matches, threshold),
        errors=split_errors(overlaps, matches),
        calibration=calibration(overlaps, matches),
        images=image_scores(overlaps, matches, threshold),
    )
