"""Conventions of torchvision and PaddleX, for detectors that were trained with them.

What: Detectron2's anchor generator with other boxes in a cell (their number and order are the same), and
region pooling for boxes that named their last pixel.
Origin: torchvision/models/detection/anchor_utils.py (corners rounded to whole pixels, around the
cell's first pixel); Paddle's anchor_generator operator (behaviour notes of PaddleX 1.3, §2.2: sides
rounded in units of the stride, around the cell's centre) and its RoIAlign (§3.3).
Differences: boxes have edges, where Paddle names their last pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from detectron2.modeling.anchor_generator import (
    ANCHOR_GENERATOR_REGISTRY,
    BufferList,
    DefaultAnchorGenerator,
)
from detectron2.modeling.poolers import ROIPooler
from torch import nn


@ANCHOR_GENERATOR_REGISTRY.register()
class TorchvisionAnchorGenerator(DefaultAnchorGenerator):
    """Corners of the boxes around (0, 0) are whole pixels; OFFSET is 0."""

    def generate_cell_anchors(
        self, sizes: Sequence[float] = (), aspect_ratios: Sequence[float] = ()
    ) -> torch.Tensor:
        """(sizes x ratios, 4) boxes around (0, 0)."""
        return super().generate_cell_anchors(sizes, aspect_ratios).round()


@ANCHOR_GENERATOR_REGISTRY.register()
class PaddleXAnchorGenerator(DefaultAnchorGenerator):
    """Sides of a box of the stride's size are whole pixels, others are multiples; OFFSET is 0.5."""

    def _calculate_anchors(
        self, sizes: Sequence[Sequence[float]], aspect_ratios: Sequence[Sequence[float]]
    ) -> BufferList:
        levels = zip(self.strides, sizes, aspect_ratios, strict=True)
        return BufferList([_paddlex_cell(*level) for level in levels])


def _paddlex_cell(
    stride: int, sizes: Sequence[float], aspect_ratios: Sequence[float]
) -> torch.Tensor:
    boxes = []
    for size in sizes:
        for ratio in aspect_ratios:
            width = _round_half_up(math.sqrt(stride * stride / ratio))
            height = _round_half_up(width * ratio)
            half = torch.tensor([width, height]) * (size / stride / 2)
            boxes.append(torch.cat([-half, half]))
    return torch.stack(boxes)


def _round_half_up(value: float) -> float:
    """C's round for positive numbers; Python's rounds halves to even."""
    return float(math.floor(value + 0.5))


class InclusiveROIAlign(nn.Module):
    """RoIAlign of regions one pixel narrower and lower.

    PaddleX hands a box (x1, y1, last x, last y) to RoIAlign as it is, so that the region it pools ends
    one pixel before the box's edge. Which level a box goes to depends on its whole area.
    """

    def __init__(self, align: nn.Module) -> None:
        """Keep the pooling.

        Args:
            align: takes a map and (R, 5) rows of image number and box.
        """
        super().__init__()
        self.align = align

    def forward(self, x: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) and (R, 5) to (R, C, size, size)."""
        return self.align(x, torch.cat([rois[:, :3], rois[:, 3:] - 1], dim=1))


def end_at_last_pixel(pooler: ROIPooler) -> None:
    """Let a pooler take boxes with edges for boxes that name their last pixel."""
    pooler.level_poolers = nn.ModuleList(InclusiveROIAlign(align) for align in pooler.level_poolers)
