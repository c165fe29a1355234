"""Where COCO's average precision was before `metrics/`; imports from here go on working."""

from ..metrics.average_precision import AveragePrecision, average_precision

__all__ = ["AveragePrecision", "average_precision"]
