"""What `predict` returned, as other programs have it: `supervision.Detections`, Detectron2's `Instances`.

Sources: https://supervision.roboflow.com (0.20 and later), detectron2/structures/instances.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from .results import dense_mask

Results = Sequence[Mapping[str, Any]]


def to_supervision(results: Results, height: int | None = None, width: int | None = None) -> Any:
    """Predicted objects as `supervision.Detections`, in their order.

    Args:
        results: of one image, in any mask_format.
        height, width: of the image, pixels; needed for mask_format 'box' only.

    Returns:
        Detections with `xyxy`, `mask` (N, H, W) bool, `confidence`, `class_id` (0 is the first
        class) and the class names in `data["class_name"]`.

    Raises:
        ModuleNotFoundError: when supervision is not installed.
        ValueError: for windows without the image's size.
    """
    try:
        import supervision
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_supervision needs the package supervision; install it with: pip install supervision",
            name="supervision",
        ) from error
    if not results:
        return supervision.Detections.empty()
    return supervision.Detections(
        xyxy=_boxes(results),
        mask=_masks(results, height, width),
        confidence=np.array([one["score"] for one in results], np.float32),
        class_id=_classes(results),
        data={"class_name": np.array([one["category"] for one in results])},
    )


def to_instances(results: Results, height: int, width: int) -> Instances:
    """Predicted objects as Detectron2's `Instances`, in their order.

    Args:
        results: of one image, in any mask_format.
        height, width: of the image, pixels.

    Returns:
        Instances on the CPU with `pred_boxes`, `scores`, `pred_classes` (0 is the first class) and
        `pred_masks` (N, H, W) bool, as `DefaultPredictor` gives them and `Visualizer` draws them.

    Raises:
        ValueError: when a mask is not of this size.
    """
    masks = _masks(results, height, width)
    if masks.shape[1:] != (height, width):
        raise ValueError(
            f"height and width are {height} and {width}, but the results are of an image of "
            f"{masks.shape[1]} and {masks.shape[2]}"
        )
    instances = Instances((height, width))
    instances.pred_boxes = Boxes(torch.from_numpy(_boxes(results)))
    instances.scores = torch.tensor([one["score"] for one in results], dtype=torch.float32)
    instances.pred_classes = torch.from_numpy(_classes(results))
    instances.pred_masks = torch.from_numpy(masks)
    return instances


def _boxes(results: Results) -> np.ndarray:
    """(N, 4) x1, y1, x2, y2."""
    xywh = np.array([one["bbox"] for one in results], np.float32).reshape(-1, 4)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def _classes(results: Results) -> np.ndarray:
    return np.array([one["category_id"] - 1 for one in results], np.int64)


def _masks(results: Results, height: int | None, width: int | None) -> np.ndarray:
    if not results:
        return np.zeros((0, height or 0, width or 0), bool)
    return np.stack([dense_mask(one["mask"], height, width).astype(bool) for one in results])
