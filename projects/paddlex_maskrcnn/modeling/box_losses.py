"""Complete-IoU loss of pairs of boxes that stays finite for degenerate boxes.

What: 1 - IoU + (centre distance / diagonal of the enclosing box)^2 + alpha * v, where v compares
the aspect ratios and alpha is treated as a constant.
Paper: Distance-IoU Loss, https://arxiv.org/abs/1911.08287, equations 7 to 11.
Origin: written from the paper. Equal to `detectron2.layers.ciou_loss` and
`torchvision.ops.complete_box_iou_loss` for boxes of some width and height. Those give NaN, in the
value or in the gradient, once a side is 0 (0 / 0 in the aspect ratio) and when coordinates are so
large that their squares overflow; Detectron2's also stops with an assertion at x2 < x1.
Differences from PaddleX: coordinates are pixels; PaddleX measures both boxes in units of the
proposal's width and height, where IoU is the same but the other two terms are not.
"""

from __future__ import annotations

import math

import torch

EPS = 1e-7  # pixels, or square pixels


def ciou_loss(boxes: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Loss (N,) of boxes (N, 4) against targets (N, 4), both XYXY pixels.

    Sides that end before they begin count as 0 long. The loss is between 0 and 3.
    """
    low, high = _corners(boxes)
    target_low, target_high = _corners(targets)
    size, target_size = high - low, target_high - target_low
    # relu, unlike clamp, has gradient 0 where boxes just touch
    shared = _area((torch.minimum(high, target_high) - torch.maximum(low, target_low)).relu())
    iou = shared / (_area(size) + _area(target_size) - shared + EPS)
    enclosing = torch.maximum(high, target_high) - torch.minimum(low, target_low)
    shift = (low + high - target_low - target_high) / 2
    return 1 - iou + _squared_ratio(shift, enclosing) + _aspect_term(size, target_size, iou)


def _corners(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    low, high = boxes.split(2, dim=1)
    return low, torch.maximum(low, high)


def _area(size: torch.Tensor) -> torch.Tensor:
    return size[:, 0] * size[:, 1]


def _squared_ratio(shift: torch.Tensor, enclosing: torch.Tensor) -> torch.Tensor:
    """|shift|^2 / |enclosing|^2 of vectors (N, 2); scaled first, so that no square overflows."""
    scale = enclosing.detach().amax(dim=1, keepdim=True).clamp(min=EPS)
    return (shift / scale).square().sum(dim=1) / ((enclosing / scale).square().sum(dim=1) + EPS)


def _aspect_term(size: torch.Tensor, target_size: torch.Tensor, iou: torch.Tensor) -> torch.Tensor:
    v = (_angle(target_size) - _angle(size)).square() * (4 / math.pi**2)
    with torch.no_grad():
        alpha = v / (1 - iou + v + EPS)
    return alpha * v


def _angle(size: torch.Tensor) -> torch.Tensor:
    # atan2 instead of atan(width / height): no division. The floor keeps away from atan2(0, 0).
    width, height = size.clamp(min=EPS).unbind(dim=1)
    return torch.atan2(width, height)
