"""What `evaluate(return_details=True)` returns, or a file of it, as annotations and result rows.

The rows are lists [image id, category id, box or mask, score], as documented, or COCO result dicts,
as PaddleX wrote them into eval_details.json and `Evaluation.write` does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..metrics.evaluation import EVAL_DETAILS
from ..metrics.results import BBOX, SEGM, ResultRows, box_region
from ..metrics.truth import Truth

PathLike = str | os.PathLike[str]
_NEEDED = (
    "give eval_details_file, or gt together with pred_bbox or pred_mask (what evaluate returns with "
    "return_details=True)"
)


@dataclass(frozen=True)
class EvalDetails:
    """Annotations, and the results of each kind that was given.

    Attributes:
        results: `bbox` or `segm` -> rows.
    """

    truth: Truth
    results: dict[str, ResultRows]


def read_eval_details(
    eval_details_file: PathLike | dict[str, Any] | None,
    gt: Any,
    pred_bbox: Sequence[Any] | None,
    pred_mask: Sequence[Any] | None,
) -> EvalDetails:
    """Arguments of PaddleX's drawing functions as data.

    Args:
        eval_details_file: a JSON file with `gt`, `bbox` and, if there are any, `mask`, or its
            content, or the folder it is in; the other arguments are without effect then.
        gt: COCO dict, or pycocotools' `COCO`.
        pred_bbox, pred_mask: rows.

    Raises:
        ValueError: when something is missing, empty, or not in one of the known forms.
    """
    if eval_details_file is not None:
        content = _content(eval_details_file)
        gt, pred_bbox, pred_mask = (content.get(key) for key in ("gt", "bbox", "mask"))
    if gt is None or (pred_bbox is None and pred_mask is None):
        raise ValueError(_NEEDED)
    for name, rows in (("pred_bbox", pred_bbox), ("pred_mask", pred_mask)):
        if rows is not None and not len(rows):
            raise ValueError(
                f"{name} is empty: the model found nothing, so there is nothing to draw"
            )
    truth = Truth.of(gt)
    results = {}
    if pred_bbox is not None:
        results[BBOX] = ResultRows(_box_row(row) for row in pred_bbox)
    if pred_mask is not None:
        boxes = results.get(BBOX)
        results[SEGM] = ResultRows(
            _mask_row(row, i, boxes, truth) for i, row in enumerate(pred_mask)
        )
    for rows in results.values():
        truth.check(rows)
    return EvalDetails(truth, results)


def _content(given: PathLike | dict[str, Any]) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    path = Path(given)
    if path.is_dir():  # a model directory, or the folder of an evaluation
        path = path / EVAL_DETAILS
    if not path.is_file():
        raise ValueError(
            f"eval_details_file {str(path)!r} is not a file; training with eval_dataset writes one "
            f"into every evaluated epoch_k and into best_model"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"eval_details_file {str(path)!r} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"eval_details_file {str(path)!r} holds no dict with gt, bbox and mask")
    return content


def _box_row(row: Any) -> dict[str, Any]:
    if isinstance(row, dict):
        return {key: row[key] for key in ("image_id", "category_id", "bbox", "score")}
    image, category, box, score = row
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def _mask_row(row: Any, index: int, boxes: ResultRows | None, truth: Truth) -> dict[str, Any]:
    if isinstance(row, dict):
        return {key: row[key] for key in ("image_id", "category_id", "segmentation", "score")}
    image, category, mask, score = row
    if not isinstance(mask, dict):
        size = truth.sizes[truth.image_indices([image], "a row of pred_mask")[0]]
        box = boxes[index]["bbox"] if boxes is not None and index < len(boxes) else None
        mask = _whole(np.asarray(mask, np.uint8), tuple(size.tolist()), box, index)
    return {"image_id": image, "category_id": category, "segmentation": mask, "score": score}


def _whole(
    bits: np.ndarray, size: tuple[int, int], box: list[float] | None, index: int
) -> dict[str, Any]:
    """Run-length form of the binary map of a box region, as `Evaluation.details` has it."""
    if bits.shape != size:
        if box is None:
            raise ValueError(
                f"pred_mask: row {index} is the map of a box region; give pred_bbox too, whose row "
                f"{index} says where it is"
            )
        region = box_region(box, size)
        dense = np.zeros(size, np.uint8)
        if dense[region].shape != bits.shape:
            raise ValueError(
                f"pred_mask: row {index} is a map of {bits.shape} pixels, but the box {box} in an image "
                f"of {size} has {dense[region].shape}; do pred_bbox and pred_mask belong together?"
            )
        dense[region] = bits
        bits = dense
    encoded = coco_mask.encode(np.asfortranarray(bits))
    return {"size": list(size), "counts": encoded["counts"].decode("ascii")}
