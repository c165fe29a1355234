"""The same proposals whatever the network computes, so that two of its computations can be compared.

Rounding decides which of two overlapping proposals NMS keeps, and with them which ones are sampled: the
losses of the second stage then differ by a tenth and more. Everything before and after that choice is
a smooth function of the weights.
"""

from __future__ import annotations

import torch
from detectron2.structures import Boxes, Instances
from torch import nn

_SIDES = (16, 32, 48)
_STEP = 8  # pixels between the centres


def fix_proposals(module: nn.Module) -> None:
    """From now on the RPN proposes a grid of squares, clipped to the image."""
    module.proposal_generator.predict_proposals = lambda _anchors, logits, _deltas, sizes: [
        _grid(size, logits[0].device) for size in sizes
    ]


def _grid(size: tuple[int, int], device: torch.device) -> Instances:
    height, width = size
    x, y, half = torch.cartesian_prod(
        torch.arange(0, width, _STEP, dtype=torch.float32) + _STEP / 2,
        torch.arange(0, height, _STEP, dtype=torch.float32) + _STEP / 2,
        torch.tensor(_SIDES) / 2,
    ).T
    boxes = Boxes(torch.stack([x - half, y - half, x + half, y + half], dim=1).to(device))
    boxes.clip(size)
    proposals = Instances(size)
    proposals.proposal_boxes = boxes
    proposals.objectness_logits = torch.zeros(len(boxes), device=device)
    return proposals
