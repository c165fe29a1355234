"""Greedy non-maximum suppression, each class on its own.

What: the best box stays, boxes of its class that overlap it by more than the threshold go, and so
on with the rest.
Origin: `torchvision.ops.batched_nms`, which Detectron2 uses too: results equal its, bit for bit.
Differences: PaddleX's `MultiClassNMS` counts pixels (x2 - x1 + 1) and returns classes one after
the other; here coordinates are continuous and the best box comes first.
"""

from __future__ import annotations

import torch
from torchvision.ops import batched_nms

from ..registries import BOX_NMS
from .settings import NMSSettings


@BOX_NMS.register()
def hard_nms(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, settings: NMSSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept indices, best first, and their unchanged scores, see `BOX_NMS`."""
    # Half precision has not the range for the class offsets batched_nms may add.
    keep = batched_nms(boxes.float(), scores, classes, settings.iou_threshold)
    if settings.top_k >= 0:
        keep = keep[: settings.top_k]
    return keep, scores[keep]
