"""Box regression losses summed over some of the boxes, without counting which.

What: the smooth L1 loss of Fast R-CNN, equations 2 and 3 of https://arxiv.org/abs/1504.08083.
Origin: equal to Detectron2's `_dense_box_regression_loss` up to rounding. That one selects the
foreground and checks the boxes, and waits for the device for both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from fvcore.nn import smooth_l1_loss


def deltas_between(
    boxes: torch.Tensor, targets: torch.Tensor, weights: Sequence[float]
) -> torch.Tensor:
    """What `Box2BoxTransform.apply_deltas` makes of boxes (N, 4) to get to targets: (N, 4)."""
    size, target_size = boxes[:, 2:] - boxes[:, :2], targets[:, 2:] - targets[:, :2]
    shift = targets[:, :2] + 0.5 * target_size - (boxes[:, :2] + 0.5 * size)
    x, y = (shift / size).unbind(dim=1)
    across, down = torch.log(target_size / size).unbind(dim=1)
    parts = zip(weights, (x, y, across, down), strict=True)
    return torch.stack([weight * part for weight, part in parts], dim=1)


def delta_loss(
    deltas: torch.Tensor,
    boxes: torch.Tensor,
    targets: torch.Tensor,
    counts: torch.Tensor,
    weights: Sequence[float],
    beta: float,
) -> torch.Tensor:
    """Sum of the smooth L1 losses of deltas (N, 4) where `counts` (N,) is true.

    Args:
        boxes, targets: (N, 4) XYXY pixels; may be anything where nothing counts.
        weights: of the box transform.
        beta: where L2 becomes L1.
    """
    with torch.no_grad():
        wanted = torch.where(counts[:, None], deltas_between(boxes, targets, weights), 0.0)
    losses = smooth_l1_loss(deltas, wanted, beta, reduction="none")
    return torch.where(counts[:, None], losses, 0.0).sum()
