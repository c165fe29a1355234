"""DIoU-NMS: of two overlapping boxes both stay if their centres are far enough apart.

What: greedy NMS that drops a box if IoU - (centre distance / diagonal of the box around both)^2
is above the threshold. For boxes with the same centre it is plain NMS.
Paper: Distance-IoU Loss, https://arxiv.org/abs/1911.08287, section 3.4.
Origin: PaddleX 1.3 `MultiClassCiouNMS`, written from a description of it; in spite of the name it
has no term for the aspect ratio.
Differences: coordinates are continuous, PaddleX's IoU counts pixels (x2 - x1 + 1); images of a
batch are kept apart, PaddleX suppresses across them.
"""

from __future__ import annotations

import torch

from ..registries import BOX_NMS
from .class_grid import EMPTY, build_grid, centre_distance, overlap
from .picking import pick_best_first
from .settings import NMSSettings


@BOX_NMS.register()
def diou_nms(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, settings: NMSSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept indices, best first, and their unchanged scores, see `BOX_NMS`."""
    if len(scores) == 0:
        return classes, scores

    def suppress(scores: torch.Tensor, picks: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        diou = overlap(picks, planes).sub_(centre_distance(picks, planes))
        return scores.masked_fill_(diou > settings.iou_threshold, EMPTY)

    return pick_best_first(build_grid(boxes, scores, classes), suppress, EMPTY, settings.top_k)
