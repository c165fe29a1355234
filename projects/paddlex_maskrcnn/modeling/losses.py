"""Loss functions that Detectron2 lacks or that are not always finite there; their mean over processes.

What: the focal loss of binary labels and the complete-IoU loss of pairs of boxes. Functions of
tensors; what they are summed over and divided by is decided where they are used.
Gradients are averaged over processes, and a mean over the regions of one process, averaged, is not
the mean over all regions unless every process has the same number. With `rank_weight` it is, and
several processes train as one would on the whole batch. Detectron2 averages the processes' means.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

EPS = 1e-7  # pixels, or square pixels
# Losses are computed deep inside Detectron2's methods, whose arguments are fixed.
_is_local: ContextVar[bool] = ContextVar("losses are those of this process", default=False)


def sigmoid_focal_loss(
    logits: torch.Tensor, labels: torch.Tensor, alpha: float | None, gamma: float
) -> torch.Tensor:
    """Sum of alpha_t * (1 - p_t)^gamma * cross entropy; p_t is the probability given to the label.

    Focal Loss for Dense Object Detection, https://arxiv.org/abs/1708.02002, equation 5.
    `torchvision.ops.sigmoid_focal_loss` computes the same; its gradient is NaN for gamma below 1 as soon
    as a sample is perfectly classified, (1 - p_t)^gamma being taken as a power of 0. Here the factor is
    exp(gamma * log(1 - p_t)), which is smooth everywhere. With gamma 0 and no alpha each term is the
    binary cross entropy, bit for bit.

    Args:
        logits: (N,) any real numbers.
        labels: (N,) 0 or 1.
        alpha: weight of the positives, the negatives have 1 - alpha; None weighs none.
        gamma: how strongly easy samples are turned down; 0 does not.
    """
    logits, labels = logits.float(), labels.float()
    cross_entropy = binary_cross_entropy_with_logits(logits, labels, reduction="none")
    # 1 - sigmoid(z) = sigmoid(-z), where z is the logit seen from the label's side
    log_miss = logsigmoid(logits * (1 - 2 * labels))
    loss = cross_entropy * torch.exp(gamma * log_miss)
    if alpha is not None:
        loss = loss * (alpha * labels + (1 - alpha) * (1 - labels))
    return loss.sum()


def ciou_loss(boxes: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Loss (N,) of boxes (N, 4) against targets (N, 4), both XYXY pixels; between 0 and 3.

    1 - IoU + (centre distance / diagonal of the enclosing box)^2 + alpha * v, where v compares the
    aspect ratios and alpha is treated as a constant. Sides that end before they begin count as 0 long.
    Distance-IoU Loss, https://arxiv.org/abs/1911.08287, equations 7 to 11, written from the paper.

    Equal to `detectron2.layers.ciou_loss` and `torchvision.ops.complete_box_iou_loss` for boxes of some
    width and height. Those give NaN, in the value or in the gradient, once a side is 0 (0 / 0 in the
    aspect ratio) and when coordinates are so large that their squares overflow; Detectron2's also
    stops with an assertion at x2 < x1. Difference from PaddleX: coordinates are pixels; PaddleX measures
    both boxes in units of the proposal's width and height, where IoU is the same but the other two
    terms are not.
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


@contextlib.contextmanager
def local_losses() -> Iterator[None]:
    """Losses in this block are those of this process, as on held-out data that is divided up."""
    token = _is_local.set(True)
    try:
        yield
    finally:
        _is_local.reset(token)


def world_size() -> int:
    """Processes whose losses are averaged."""
    if _is_local.get():
        return 1
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank_weight(count: int, device: torch.device) -> torch.Tensor | float:
    """Factor on a mean over `count` regions, so that averaged over processes it is that of all.

    Every process must call this the same number of times.
    """
    if world_size() == 1:
        return 1.0
    mean = mean_count(torch.full((), float(count), device=device))
    return count / mean.clamp(min=1 / world_size())


def mean_count(count: torch.Tensor) -> torch.Tensor:
    """Mean over the processes of a count () of regions."""
    if world_size() == 1:
        return count
    total = count.float()
    dist.all_reduce(total)
    return total / world_size()
