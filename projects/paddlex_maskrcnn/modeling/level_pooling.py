"""RoIAlign over a pyramid without waiting for the device.

What: `GatherPooler` on a CPU and on the plain path. On a GPU the regions of each map are counted from
the copies of the boxes that the host has (read_boxes.py); Detectron2 asks the device twice for the
images they belong to and once a map for the regions of that map.
Differences from Detectron2's `ROIPooler`: none, bit for bit.
"""

from __future__ import annotations

import torch
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels
from detectron2.structures import Boxes

from .device_copies import send, spares_waits
from .gather_pooling import GatherPooler
from .read_boxes import host_boxes


class LevelPooler(GatherPooler):
    """`GatherPooler` that knows on the host which region belongs to which map."""

    def forward(self, x: list[torch.Tensor], box_lists: list[Boxes]) -> torch.Tensor:
        """Maps (N, C, H, W) and boxes of each image to (R, C, size, size)."""
        known = [host_boxes(boxes) for boxes in box_lists]
        if not spares_waits(x[0]) or any(boxes is None for boxes in known):
            return super().forward(x, box_lists)
        rois = torch.cat(
            [_with_number(boxes.tensor, image) for image, boxes in enumerate(box_lists)]
        )
        if len(x) == 1:
            return self.level_poolers[0](x[0], rois)
        order, counts = self._sorted_by_level([Boxes(boxes) for boxes in known])
        out = x[0].new_zeros(len(rois), x[0].shape[1], *self.output_size)
        parts = send(order, rois.device).split(counts)
        for one, align, here in zip(x, self.level_poolers, parts, strict=True):
            out.index_put_((here,), align(one, rois[here]))
        return out

    def _sorted_by_level(self, box_lists: list[Boxes]) -> tuple[torch.Tensor, list[int]]:
        """Numbers (R,) of the regions, those of a map together, and how many each map has."""
        levels = assign_boxes_to_levels(
            box_lists, self.min_level, self.max_level,
            self.canonical_box_size, self.canonical_level,
        )  # fmt: skip
        counts = torch.bincount(levels, minlength=len(self.level_poolers))
        return levels.argsort(stable=True), counts.tolist()


def _with_number(boxes: torch.Tensor, image: int) -> torch.Tensor:
    return torch.cat([boxes.new_full((len(boxes), 1), image), boxes], dim=1)


def spare_waits_in(pooler: ROIPooler) -> None:
    """Let a pooler take the fastest way; it has no weights, so only its way to compute changes."""
    pooler.__class__ = LevelPooler
