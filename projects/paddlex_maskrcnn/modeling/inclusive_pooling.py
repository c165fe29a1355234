"""Region pooling for detectors whose boxes named their last pixel.

What: PaddleX hands a box (x1, y1, last x, last y) to RoIAlign as it is, so that the region it pools
ends one pixel before the box's edge.
Origin: behaviour notes of PaddleX 1.3, §3.3. Which level a box goes to depends on its whole area.
"""

from __future__ import annotations

import torch
from detectron2.modeling.poolers import ROIPooler
from torch import nn


class InclusiveROIAlign(nn.Module):
    """RoIAlign of regions one pixel narrower and lower."""

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
    pooler.level_poolers = nn.ModuleList(InclusiveROIAlign(one) for one in pooler.level_poolers)
