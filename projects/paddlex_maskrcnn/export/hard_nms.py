"""Greedy NMS of separate groups (classes, or levels of a pyramid), as ONNX and TorchScript can hold it.

Origin: `torchvision.ops.batched_nms` on a CPU, which this equals bit for bit (tested). While it is
being traced, torchvision's own always moves the groups apart, also where it otherwise takes one
after the other; the two round differently, and of thousands of boxes some pairs are always close to
the threshold.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
        apart = groups.to(boxes) * (boxes.max() + 1)
        keep = torch.ops.torchvision.nms(boxes + apart[:, None], scores, iou_threshold)
    else:
        kept = torch.zeros_like(scores)
        for group in range(num_groups):
            rows = torch.nonzero(groups == group).flatten()
            if rows.numel() > 0:
                best = torch.ops.torchvision.nms(boxes[rows], scores[rows], iou_threshold)
                kept[rows[best]] = 1.0
        rows = torch.nonzero(kept).flatten()
        keep = rows[torch.sort(scores[rows], dim=0, descending=True)[1]]
    return keep
