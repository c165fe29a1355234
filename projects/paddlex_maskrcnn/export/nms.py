"""The functions of `modeling.nms` as ONNX and TorchScript can hold them.

Loops are TorchScript's, which become ONNX's Loop, and no shape changes from one turn to the next.
Papers and origin: see the functions of the same name in `modeling.nms`, which these equal (tested).
Greedy NMS equals `torchvision.ops.batched_nms` on a CPU bit for bit. While it is being traced,
torchvision's own always moves the groups apart, also where it otherwise takes one after the other; the
two round differently, and of thousands of boxes some pairs are always close to the threshold.
Differences: soft-NMS and DIoU-NMS pick over all classes at once, one box a turn, instead of one of
each class: the same picks in the same order, since a class does not touch another and picks of a
class never get better.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..modeling.nms import EPS


@torch.jit.script_if_tracing
def grouped_nms(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    num_groups: int,
    iou_threshold: float,
    few: int = 4000,
) -> Tensor:
    """Kept indices, best first.

    Args:
        boxes: (N, 4) XYXY pixels.
        scores: (N,).
        groups: (N,) numbers from 0 to num_groups - 1.
        few: how many coordinates torchvision calls few.
    """
    if boxes.numel() == 0:
        keep = torch.zeros_like(groups)
    elif boxes.numel() <= few:
        # boxes of different groups do not meet when each group has an area of its own
        apart = groups.to(boxes) * (boxes.max() + 1)
        keep = torch.ops.torchvision.nms(boxes + apart[:, None], scores, iou_threshold)
    else:
        survives = torch.zeros_like(scores)
        for group in range(num_groups):
            rows = torch.nonzero(groups == group).flatten()
            if rows.numel() > 0:
                best = torch.ops.torchvision.nms(boxes[rows], scores[rows], iou_threshold)
                survives[rows[best]] = 1.0
        rows = torch.nonzero(survives).flatten()
        keep = rows[torch.sort(scores[rows], dim=0, descending=True)[1]]
    return keep


@torch.jit.script_if_tracing
def soft_nms(
    boxes: Tensor, scores: Tensor, classes: Tensor, threshold: Tensor, sigma: float, top_k: int
) -> tuple[Tensor, Tensor]:
    """Kept indices, best first, and their decayed scores.

    Args:
        boxes: (N, 4) XYXY pixels.
        scores, classes: (N,).
        threshold: () which a pick's score exceeds.
        top_k: number of boxes to keep at most, -1 = all.
    """
    # -1 is below every score: a box that is taken, or was never picked
    left, picked = scores, torch.full_like(scores, -1.0)
    limit = scores.numel() if top_k < 0 else min(top_k, scores.numel())
    picks, going = 0, limit > 0
    while going:
        best = torch.argmax(left)
        if bool(left[best] > threshold):
            is_best = torch.arange(scores.numel(), device=scores.device) == best
            picked = torch.where(is_best, left, picked)
            decay = torch.exp(overlap(boxes[best], boxes).square() * (-1 / sigma))
            left = torch.where(classes == classes[best], left * decay, left)
            left = torch.where(is_best, torch.full_like(left, -1.0), left)
            picks += 1
            going = picks < limit
        else:
            going = False
    order = torch.sort(picked, dim=0, descending=True)[1][:picks]
    return order, picked[order]


@torch.jit.script_if_tracing
def diou_nms(
    boxes: Tensor, scores: Tensor, classes: Tensor, iou_threshold: float, top_k: int
) -> tuple[Tensor, Tensor]:
    """Kept indices, best first, and their scores; arguments as `soft_nms`."""
    left, picked = scores, torch.full_like(scores, -1.0)
    limit = scores.numel() if top_k < 0 else min(top_k, scores.numel())
    picks, going = 0, limit > 0
    while going:
        best = torch.argmax(left)
        if bool(left[best] >= 0):
            is_best = torch.arange(scores.numel(), device=scores.device) == best
            picked = torch.where(is_best, left, picked)
            diou = overlap(boxes[best], boxes) - centre_distance(boxes[best], boxes)
            goes = is_best | ((classes == classes[best]) & (diou > iou_threshold))
            left = torch.where(goes, torch.full_like(left, -1.0), left)
            picks += 1
            going = picks < limit
        else:
            going = False
    order = torch.sort(picked, dim=0, descending=True)[1][:picks]
    return order, picked[order]


@torch.jit.script_if_tracing
def matrix_nms(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    num_classes: int,
    post: float,
    top_k: int,
    eps: float = EPS,
) -> tuple[Tensor, Tensor]:
    """Kept indices, best first, and their decayed scores; arguments as `soft_nms`.

    Args:
        num_classes: classes are numbered from 0 to num_classes - 1.
        post: decayed scores of that or less are dropped.
    """
    decayed = torch.zeros_like(scores)
    for number in range(num_classes):
        rows = torch.nonzero(classes == number).flatten()
        if rows.numel() > 0:
            rows = rows[torch.sort(scores[rows], dim=0, descending=True)[1]]
            iou = torch.triu(all_overlaps(boxes[rows]), diagonal=1)
            left_over = 1 - iou.amax(dim=0)
            factor = (1 - iou) / left_over.clamp(min=eps)[:, None]
            decayed[rows] = scores[rows] * factor.amin(dim=0)
    order = torch.sort(decayed, dim=0, descending=True)[1]
    order = order[decayed[order] > post]
    if top_k >= 0:
        order = order[:top_k]
    return order, decayed[order]


def overlap(box: Tensor, boxes: Tensor, eps: float = EPS) -> Tensor:
    """IoU (N,) of a box (4,) and boxes (N, 4); boxes of no size overlap nothing."""
    size = torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])
    size = size.clamp(min=0)
    shared = size[:, 0] * size[:, 1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    own = (box[2] - box[0]) * (box[3] - box[1])
    return shared / (own + area - shared).clamp(min=eps)


def all_overlaps(boxes: Tensor, eps: float = EPS) -> Tensor:
    """IoU (N, N) of boxes (N, 4) with each other."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    size = (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - low).clamp(min=0)
    shared = size[:, :, 0] * size[:, :, 1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return shared / (area[:, None] + area[None, :] - shared).clamp(min=eps)


def centre_distance(box: Tensor, boxes: Tensor, eps: float = EPS) -> Tensor:
    """Squared distance (N,) of the centres by the squared diagonal of the box around both."""
    around = torch.maximum(box[2:], boxes[:, 2:]) - torch.minimum(box[:2], boxes[:, :2])
    distance = (box[:2] + box[2:]) / 2 - (boxes[:, :2] + boxes[:, 2:]) / 2
    return distance.square().sum(dim=1) / around.square().sum(dim=1).clamp(min=eps)
