"""Mask head that computes the mask of each region's own class only.

What: Detectron2's `MaskRCNNConvUpsampleHead`, same layers, same parameter names. The last layer has a
map for each class, of which one is used: that of the object in training, of the detection later.
Doubling the resolution is a matrix product, as the 2x2 patches it writes do not overlap.
Paper: Mask R-CNN, https://arxiv.org/abs/1703.06870.
Differences: results are equal up to rounding, with `plain_path` bit for bit; the accuracy of masks is
not written to Detectron2's event storage, which would wait for the device four times a step. With
several processes the loss is the mean over the objects of all of them (see global_mean.py).
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.modeling.roi_heads import ROI_MASK_HEAD_REGISTRY
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead, mask_rcnn_inference
from detectron2.structures import Instances
from torch.nn.functional import binary_cross_entropy_with_logits, linear, relu_

from .core_pieces import for_each
from .device_copies import send
from .fast_path import is_fast, is_fast_on_cpu
from .global_mean import share_of_mean
from .picked_masks import PickedMasks

_REGIONS = 8  # whose last layers are computed together: 6 MiB, which stay in the cache


@ROI_MASK_HEAD_REGISTRY.register()
class SeamMaskHead(MaskRCNNConvUpsampleHead):
    """`MaskRCNNConvUpsampleHead` for any number of processes."""

    def forward(self, x: torch.Tensor, instances: list[Instances]) -> Any:
        """`loss_mask` in training, else the instances with `pred_masks`."""
        found = self._of_own_class(x, instances) if is_fast() else super().forward(x, instances)
        if not self.training:
            return found
        share = share_of_mean(sum(len(one) for one in instances), x.device)
        return {name: loss * share for name, loss in found.items()}

    def _of_own_class(self, x: torch.Tensor, instances: list[Instances]) -> Any:
        field = "gt_classes" if self.training else "pred_classes"
        # an image without objects has no gt_classes of its own, but no regions either
        classes = [one.get(field) for one in instances if len(one)]
        logits = self.logits_of(x, torch.cat(classes) if classes else x.new_zeros(0).long())
        if self.training:
            return {"loss_mask": mask_loss(logits[:, 0], instances) * self.loss_weight}
        mask_rcnn_inference(logits, instances)
        return instances

    def logits_of(self, x: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Logits (R, 1, 2M, 2M) of the masks of one class for each region, in 32 bits.

        Args:
            x: (R, C, M, M) pooled features.
            classes: (R,) in [0, K); without effect when all classes share a mask.
        """
        for layer in self.conv_norm_relus:
            x = layer(x)
        if self.predictor.out_channels == 1:
            classes = torch.zeros_like(classes)
        weight = self.deconv.weight.permute(2, 3, 1, 0).reshape(-1, x.shape[1])
        if torch.is_grad_enabled() or not is_fast_on_cpu(x):
            return self._last_layers(x, classes, weight)
        out = x.new_empty(len(x), 1, 2 * x.shape[2], 2 * x.shape[3])

        def draw(some: slice) -> None:
            out[some] = self._last_layers(x[some], classes[some], weight)

        starts = range(0, len(x), _REGIONS)
        for_each(draw, [slice(start, start + _REGIONS) for start in starts])
        return out

    def _last_layers(
        self, x: torch.Tensor, classes: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """Logits of regions from the features of the last 3x3 convolution.

        Args:
            weight: (4 C, C) of the layer that doubles the resolution.
        """
        regions, channels, height, width = x.shape
        predictor = self.predictor
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        hidden = relu_(linear(pixels, weight, self.deconv.bias.repeat(4)))
        hidden = hidden.view(regions, height * width * 4, predictor.in_channels)
        own = predictor.weight.flatten(1)[classes]
        logits = torch.bmm(hidden, own[:, :, None]).float() + predictor.bias[classes, None, None]
        logits = logits.view(regions, height, width, 2, 2).transpose(2, 3)
        return logits.reshape(regions, 1, 2 * height, 2 * width)


def mask_loss(logits: torch.Tensor, instances: list[Instances]) -> torch.Tensor:
    """Mean cross entropy of the masks (R, M, M) of the foreground proposals of all images."""
    size = logits.shape[-1]
    drawn = [send(_drawn(one, size), logits.device) for one in instances if len(one)]
    if not drawn:
        return logits.sum() * 0
    return binary_cross_entropy_with_logits(logits, torch.cat(drawn).to(logits.dtype))


def _drawn(one: Instances, size: int) -> torch.Tensor:
    """Masks (R, size, size) of an image's proposals, on the CPU where they are polygons."""
    if isinstance(one.gt_masks, PickedMasks):
        return one.gt_masks.draw(one.proposal_boxes, size)
    return one.gt_masks.crop_and_resize(one.proposal_boxes.tensor, size)
