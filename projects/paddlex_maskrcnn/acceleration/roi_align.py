"""RoIAlign on a CPU as weighted sums of pixels, many times faster than pixel by pixel.

What: each cell of a region is a weighted sum of a few pixels of a map. The weights of a cell are
the product of weights down and across, so the pixels that several of its sampling points share are
read once. Sums of rows of a table are what `torch.nn.functional.embedding_bag` is made for; the
gradient is the same sum the other way round, with the pixels sorted.
Paper: Mask R-CNN, https://arxiv.org/abs/1703.06870, section 3 (RoIAlign).
Origin: the sampling points are those of `torchvision.ops.roi_align`; `embedding_bag` is torch's.
Differences from Detectron2's `ROIPooler`: sums are taken in another order, so results are equal up
to rounding; the gradient is the same in every run. Not on a CPU, in 16 bits, or where somebody traces
the network, it is Detectron2's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import (
    ROIPooler,
    assign_boxes_to_levels,
    convert_boxes_to_pooler_format,
)
from detectron2.structures import Boxes
from torch.nn.functional import embedding_bag

from ..modeling.conventions import InclusiveROIAlign
from .guard import is_faster_here


@dataclass(frozen=True)
class SampleWeights:
    """What pixels of one map the cells of some regions are made of.

    Attributes:
        level: number of the map.
        regions: (r,) numbers of the regions.
        pixels: (r * cells, T) numbers of pixels of the map, counted over the images of the batch.
        weights: (r * cells, T).
    """

    level: int
    regions: torch.Tensor
    pixels: torch.Tensor
    weights: torch.Tensor


class GatherPooler(ROIPooler):
    """`ROIPooler` that sums pixels where that is faster."""

    def forward(self, x: list[torch.Tensor], box_lists: list[Boxes]) -> torch.Tensor:
        """Maps (N, C, H, W) and boxes of each image to (R, C, size, size)."""
        if not is_faster_here(x[0]) or self.output_size[0] != self.output_size[1]:
            return super().forward(x, box_lists)
        with torch.no_grad():
            rois = convert_boxes_to_pooler_format(box_lists)
            parts = list(self._weights(x, rois, box_lists))
        return _Gather.apply(parts, len(rois), self.output_size[0], *x)

    def _weights(
        self, x: list[torch.Tensor], rois: torch.Tensor, box_lists: list[Boxes]
    ) -> Iterator[SampleWeights]:
        levels = rois.new_zeros(len(rois), dtype=torch.int64)
        if len(x) > 1:
            levels = assign_boxes_to_levels(
                box_lists, self.min_level, self.max_level,
                self.canonical_box_size, self.canonical_level,
            )  # fmt: skip
        for level, align in enumerate(self.level_poolers):
            here = torch.nonzero(levels == level).flatten()
            if len(here):
                yield from _weights_of_level(level, align, x[level].shape, here, rois[here])


def _weights_of_level(
    level: int, align: Any, shape: Sequence[int], numbers: torch.Tensor, rois: torch.Tensor
) -> Iterator[SampleWeights]:
    """Weights of the regions of one map, those with the same number of sampling points together."""
    if isinstance(align, InclusiveROIAlign):
        align, rois = align.align, rois - rois.new_tensor([0, 0, 0, 1, 1])
    assert isinstance(align, ROIAlign), type(align)
    size, (height, width) = align.output_size[0], shape[-2:]
    low, high = (rois[:, 1:] * align.spatial_scale - (0.5 if align.aligned else 0)).split(2, dim=1)
    extent = high - low if align.aligned else (high - low).clamp(min=1)
    cell = extent / size  # (r, 2) across, down
    points = (
        cell.ceil() if align.sampling_ratio <= 0 else torch.full_like(cell, align.sampling_ratio)
    )
    real = (points > 0).all(dim=1)  # regions without extent have no sampling points: they are 0
    numbers, rois, low, cell = numbers[real], rois[real], low[real], cell[real]
    kinds, kind = torch.unique(points[real].long(), dim=0, return_inverse=True)
    for number, (across, down) in enumerate(kinds.tolist()):
        some = torch.nonzero(kind == number).flatten()
        rows, row_weights = _axis(low[some, 1], cell[some, 1], down, size, height)
        columns, column_weights = _axis(low[some, 0], cell[some, 0], across, size, width)
        rows = (rows + rois[some, 0].long()[:, None, None] * height) * width
        pixels = rows[:, :, None, :, None] + columns[:, None, :, None, :]
        weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
        yield SampleWeights(
            level, numbers[some], pixels.flatten(0, 2).flatten(1), weights.flatten(0, 2).flatten(1)
        )


def _axis(
    first: torch.Tensor, cell: torch.Tensor, points: int, size: int, length: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels and weights, each (r, size, T), of cells along one side of regions.

    Args:
        first: (r,) where a region begins.
        cell: (r,) length of its cells.
        points: sampling points of a cell along this side.
        size: cells.
        length: pixels of the map.
    """
    begin = first[:, None] + torch.arange(size, dtype=cell.dtype) * cell[:, None]
    step = (torch.arange(points, dtype=cell.dtype) + 0.5) * cell[:, None] / points
    position = begin[:, :, None] + step[:, None]
    share = ((position >= -1) & (position <= length)).to(cell.dtype) / points  # nothing is outside
    position = position.clamp(min=0)
    low = position.long().clamp(max=length - 1)
    upper = torch.where(low == length - 1, torch.zeros_like(position), position - low)
    nearest = low.amin(dim=2, keepdim=True)
    offset = low - nearest
    weights = position.new_zeros(*position.shape[:2], int(offset.max()) + 2)
    weights.scatter_add_(2, offset, (1 - upper) * share)
    weights.scatter_add_(2, offset + 1, upper * share)
    pixels = (nearest + torch.arange(weights.shape[2])).clamp(max=length - 1)
    return pixels, weights


class _Gather(torch.autograd.Function):
    """Sums of pixels; the boxes get no gradient, as in RoIAlign."""

    @staticmethod
    def forward(
        ctx: Any, parts: list[SampleWeights], count: int, size: int, *maps: torch.Tensor
    ) -> torch.Tensor:
        channels = maps[0].shape[1]
        ctx.parts, ctx.shapes = parts, [level.shape for level in maps]
        out = maps[0].new_zeros(count, size, size, channels)
        tables = [level.permute(0, 2, 3, 1).reshape(-1, channels) for level in maps]
        for part in parts:
            sums = _weighted_sums(tables[part.level], part.pixels, part.weights)
            out[part.regions] = sums.view(-1, size, size, channels)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple:
        cells = grad.shape[2] * grad.shape[3]
        table = grad.permute(0, 2, 3, 1).reshape(-1, grad.shape[1])
        grads = [
            _map_gradient(table, [part for part in ctx.parts if part.level == level], shape, cells)
            for level, shape in enumerate(ctx.shapes)
        ]
        return None, None, None, *grads


def _map_gradient(
    table: torch.Tensor, parts: list[SampleWeights], shape: Sequence[int], cells: int
) -> torch.Tensor:
    """Gradient (N, C, H, W) of a map: for each pixel the sum over the cells it is part of."""
    images, channels, height, width = shape
    if not parts:
        return table.new_zeros(images, height, width, channels).permute(0, 3, 1, 2)
    pixels, order = torch.cat([part.pixels.flatten() for part in parts]).sort(stable=True)
    weights = torch.cat([part.weights.flatten() for part in parts])[order]
    rows = torch.cat([_cell_rows(part, cells) for part in parts])[order]
    counts = torch.bincount(pixels, minlength=images * height * width)
    starts = counts.cumsum(0) - counts
    sums = embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)
    return sums.view(images, height, width, channels).permute(0, 3, 1, 2)


def _cell_rows(part: SampleWeights, cells: int) -> torch.Tensor:
    """The cell, counted over all regions, that each weight belongs to, flat."""
    rows = part.regions[:, None] * cells + torch.arange(cells)
    return rows.view(-1, 1).expand_as(part.pixels).flatten()


def _weighted_sums(table: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
