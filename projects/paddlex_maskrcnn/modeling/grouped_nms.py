"""Greedy NMS of many groups of boxes in one call, for which a GPU has to be waited for only once.

How: the groups are laid out side by side on a square, so far apart that none overlaps another.
Origin: the idea is that of `torchvision.ops.batched_nms`, which lays them out on a diagonal: there the
coordinates of 80 classes grow 80-fold and lose as much precision, here 9-fold.
Limits: work and memory of torchvision's CUDA kernel grow with the square of the number of boxes,
which is what `MOST_BOXES` is for.
"""

from __future__ import annotations

import math

import torch
from torchvision.ops import nms

MOST_BOXES = 25_000  # of one call: 78 MB; also torchvision's limit for its diagonal


def nms_of_groups(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    groups: torch.Tensor,
    num_groups: int,
    iou_threshold: float,
) -> torch.Tensor:
    """Indices of the boxes that stay, best first.

    Args:
        boxes: (N, 4) XYXY, no coordinate below 0.
        scores: (N,).
        groups: (N,) in [0, num_groups); boxes of different groups do not meet.
    """
    if len(boxes) == 0:
        return groups
    side = math.ceil(math.sqrt(num_groups))
    span = boxes.max() + 1
    corner = torch.stack([groups % side, groups // side], dim=1) * span
    return nms(boxes + corner.repeat(1, 2), scores, iou_threshold)


def best_of_images(
    kept: torch.Tensor, images: torch.Tensor, num_images: int, most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `most` of the kept (K,) of each image, in their order.

    Args:
        kept: any numbers, best first.
        images: (K,) number of the image of each, or num_images for one that is not wanted.

    Returns:
        (num_images, most), filled up with anything, and how many there are (num_images,).
    """
    each = images == torch.arange(num_images, device=kept.device)[:, None]
    rank = (each.cumsum(dim=1) - 1).masked_fill_(~each, most).clamp_(max=most)
    slots = kept.new_zeros(num_images, most + 1)
    slots.scatter_(1, rank, kept.expand(num_images, -1))
    return slots[:, :most], each.sum(dim=1).clamp(max=most)
