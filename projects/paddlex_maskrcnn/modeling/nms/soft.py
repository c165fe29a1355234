"""Soft-NMS: overlapping boxes lose score instead of being dropped.

What: when a box is picked, the score of each remaining box of its class is multiplied by
exp(-IoU^2 / sigma); boxes at or below the score threshold are dropped.
Paper: Soft-NMS, https://arxiv.org/abs/1704.04503, the Gaussian form, exact.
Origin: PaddleX 1.3 `MultiClassSoftNMS`, written from a description of it.
Differences: coordinates are continuous; a box at exactly the threshold is dropped, as everywhere
here; results come best decayed score first and `top_k` is exact where scores tie. PaddleX
recommends score threshold 0.01 and 300 boxes with it, which are settings, not changed here.
"""

from __future__ import annotations

import torch

from ..registries import BOX_NMS
from .class_grid import build_grid, overlap
from .picking import pick_best_first
from .settings import NMSSettings


@BOX_NMS.register()
def soft_nms(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, settings: NMSSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept indices, best first, and their decayed scores, see `BOX_NMS`.

    The IoU threshold is not used.
    """
    if len(scores) == 0:
        return classes, scores

    def decay(scores: torch.Tensor, picks: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        return scores.mul_(overlap(picks, planes).square_().mul_(-1 / settings.sigma).exp_())

    grid = build_grid(boxes, scores, classes)
    return pick_best_first(grid, decay, max(settings.score_threshold, 0.0), settings.top_k)
