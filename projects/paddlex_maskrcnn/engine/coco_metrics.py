"""COCO's average precision from results and annotations, through pycocotools' `COCOeval`.

`COCOeval.summarize` has 100 detections an image built in and prints its table; the same numbers are
read here from its precision array, for any limit and for each class.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

AREAS = ("all", "small", "medium", "large")


@dataclass(frozen=True)
class AveragePrecision:
    """AP of one kind of result, fractions; NaN where no annotation could be found.

    Attributes:
        ap: mean over IoU 0.5 to 0.95, ap50, ap75: at that IoU.
        by_area: `ap` for COCO's small, medium and large objects.
        by_class: class name -> `ap`.
        ap50_by_class: class name -> AP at IoU 0.5.
        recall: mean over IoU, at the limit of detections an image.
    """

    ap: float
    ap50: float
    ap75: float
    recall: float
    by_area: dict[str, float] = field(default_factory=dict)
    by_class: dict[str, float] = field(default_factory=dict)
    ap50_by_class: dict[str, float] = field(default_factory=dict)


def average_precision(
    truth: COCO, results: Sequence[dict[str, Any]], kind: str, max_detections: int
) -> AveragePrecision:
    """Evaluate COCO results.

    Args:
        truth: annotations.
        results: COCO result dicts; those of one kind need `bbox` or `segmentation`.
        kind: `bbox` or `segm`.
        max_detections: results an image that count, best first.
    """
    names = {one["id"]: one["name"] for one in truth.loadCats(truth.getCatIds())}
    evaluation = _evaluate(truth, results, kind, max_detections)
    # (IoU thresholds, recall points, classes, areas, limits); (IoU, classes, areas, limits)
    precision = evaluation.eval["precision"][..., -1]
    recall = evaluation.eval["recall"][..., -1]
    ids = evaluation.params.catIds
    return AveragePrecision(
        ap=_mean(precision[:, :, :, 0]),
        ap50=_mean(precision[0, :, :, 0]),
        ap75=_mean(precision[5, :, :, 0]),
        recall=_mean(recall[:, :, 0]),
        by_area={area: _mean(precision[..., i]) for i, area in enumerate(AREAS) if i},
        by_class={names[one]: _mean(precision[:, :, k, 0]) for k, one in enumerate(ids)},
        ap50_by_class={names[one]: _mean(precision[0, :, k, 0]) for k, one in enumerate(ids)},
    )


def _evaluate(
    truth: COCO, results: Sequence[dict[str, Any]], kind: str, max_detections: int
) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):  # progress texts of pycocotools
        # loadRes derives areas and boxes in place: give it its own dicts; it cannot take an empty list
        found = truth.loadRes([_only(one, kind) for one in results]) if results else COCO()
        evaluation = COCOeval(truth, found, kind)
        evaluation.params.maxDets = [1, 10, max(100, max_detections)]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _only(result: dict[str, Any], kind: str) -> dict[str, Any]:
    """Without the box, loadRes derives area from the mask, which the size ranges of masks need."""
    dropped = "segmentation" if kind == "bbox" else "bbox"
    return {key: value for key, value in result.items() if key != dropped}


def _mean(values: np.ndarray) -> float:
    """Mean of what is defined (-1 marks classes and areas without annotations)."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")
