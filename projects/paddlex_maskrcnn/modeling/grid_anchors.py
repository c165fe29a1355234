"""Anchors of a pyramid, laid out where they are used.

Why: Detectron2's generator counts the places of each map on the CPU and copies them to the device,
twice a level, and each copy waits until the backbone has run (device_copies.py).
Origin: the boxes are those of `DefaultAnchorGenerator` and its subclasses, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.structures import Boxes
from torch import nn

from .device_copies import spares_waits


def grid_anchors(generator: nn.Module, maps: Sequence[torch.Tensor]) -> list[Boxes]:
    """Anchors (H * W * A, 4) of each map (N, C, H, W), as `generator(maps)`."""
    if not (spares_waits(maps[0]) and isinstance(generator, DefaultAnchorGenerator)):
        return generator(maps)
    levels = zip(maps, generator.strides, generator.cell_anchors, strict=True)
    return [Boxes(_grid(one, stride, generator.offset, cell)) for one, stride, cell in levels]


def _grid(x: torch.Tensor, stride: int, offset: float, cell: torch.Tensor) -> torch.Tensor:
    down, across = (
        torch.arange(
            offset * stride, side * stride, step=stride, dtype=cell.dtype, device=cell.device
        )
        for side in x.shape[-2:]
    )
    y, x = torch.meshgrid(down, across, indexing="ij")
    shifts = torch.stack((x, y, x, y), dim=2).view(-1, 1, 4)
    return (shifts + cell).reshape(-1, 4)
