"""Mask head whose loss is the mean over the objects of all processes.

What: Detectron2's `MaskRCNNConvUpsampleHead`, same layers, same parameter names.
Paper: Mask R-CNN, https://arxiv.org/abs/1703.06870.
Differences: with one process none, bit for bit; with several see global_mean.py.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.modeling.roi_heads import ROI_MASK_HEAD_REGISTRY
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead
from detectron2.structures import Instances

from .global_mean import share_of_mean


@ROI_MASK_HEAD_REGISTRY.register()
class SeamMaskHead(MaskRCNNConvUpsampleHead):
    """`MaskRCNNConvUpsampleHead` for any number of processes."""

    def forward(self, x: torch.Tensor, instances: list[Instances]) -> Any:
        """`loss_mask` in training, else the instances with `pred_masks`."""
        found = super().forward(x, instances)
        if not self.training:
            return found
        share = share_of_mean(sum(len(one) for one in instances), x.device)
        return {name: loss * share for name, loss in found.items()}
