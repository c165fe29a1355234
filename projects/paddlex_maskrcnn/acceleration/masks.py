"""Masks of a region's own class only, and masks of objects drawn only for the foreground.

What: the last layer of Detectron2's mask head has a map for each class, of which one is used: that of the
object in training, of the detection later; `OwnClassMaskHead` computes only that one. Doubling the
resolution is a matrix product, as the 2x2 patches it writes do not overlap. In training Detectron2
gives each of an image's 512 sampled proposals its own copy of the mask of its object, of the image's full
size where masks are bits, and then uses the quarter that is foreground; here a proposal refers to the
mask of its object.
Paper: Mask R-CNN, https://arxiv.org/abs/1703.06870.
Differences: masks are equal up to rounding; what is drawn for training is equal bit for bit.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.layers import ROIAlign
from detectron2.structures import BitMasks, Instances, PolygonMasks
from torch.nn.functional import linear, relu_

from ..modeling.roi_heads import PaddleXMaskHead, PaddleXRes5ROIHeads, PaddleXROIHeads
from .guard import is_faster_here


class OwnClassMaskHead(PaddleXMaskHead):
    """`PaddleXMaskHead` that computes the mask of each region's own class."""

    def forward(self, x: torch.Tensor, instances: list[Instances]) -> Any:
        """`loss_mask` in training, else the instances with `pred_masks`."""
        if not is_faster_here(x):
            return super().forward(x, instances)
        field = "gt_classes" if self.training else "pred_classes"
        # an image without objects has no gt_classes of its own, but no regions either
        classes = [image.get(field) for image in instances if len(image)]
        own = torch.cat(classes) if classes else x.new_zeros(0).long()
        return self.results(self.logits_of(x, own), instances)

    def logits_of(self, x: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Logits (R, 1, 2M, 2M) of the masks of one class for each region, in 32 bits.

        Args:
            x: (R, C, M, M) pooled features.
            classes: (R,) in [0, K); without effect when all classes share a mask.
        """
        for layer in self.conv_norm_relus:
            x = layer(x)
        predictor = self.predictor
        if predictor.out_channels == 1:
            classes = torch.zeros_like(classes)
        regions, channels, height, width = x.shape
        weight = self.deconv.weight.permute(2, 3, 1, 0).reshape(-1, channels)  # (4 C', C)
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        hidden = relu_(linear(pixels, weight, self.deconv.bias.repeat(4)))
        hidden = hidden.view(regions, height * width * 4, predictor.in_channels)
        own = predictor.weight.flatten(1)[classes]
        logits = torch.bmm(hidden, own[:, :, None]).float() + predictor.bias[classes, None, None]
        logits = logits.view(regions, height, width, 2, 2).transpose(2, 3)
        return logits.reshape(regions, 1, 2 * height, 2 * width)


class MatchedMasks:
    """For each of R regions one of an image's masks, by its number; drawn by `crop_and_resize`."""

    def __init__(self, masks: BitMasks | PolygonMasks, objects: torch.Tensor) -> None:
        """Keep both.

        Args:
            masks: of the image's objects.
            objects: (R,) the number of the object of each region.
        """
        self.masks, self.objects = masks, objects

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, item: Any) -> MatchedMasks:
        return MatchedMasks(self.masks, self.objects[item])

    def to(self, *args: Any, **kwargs: Any) -> MatchedMasks:
        """As the masks' own."""
        return MatchedMasks(self.masks.to(*args, **kwargs), self.objects.to(*args, **kwargs))

    def crop_and_resize(self, boxes: torch.Tensor, mask_size: int) -> torch.Tensor:
        """Boxes (R, 4) to (R, mask_size, mask_size) of bool: what is in each box of its mask."""
        if isinstance(self.masks, PolygonMasks):
            return self.masks[self.objects].crop_and_resize(boxes, mask_size)
        # as `BitMasks.crop_and_resize`, but each object's mask is turned to numbers once
        used, row = self.objects.unique(return_inverse=True)
        rois = torch.cat([row[:, None].to(boxes.dtype), boxes], dim=1)
        align = ROIAlign((mask_size, mask_size), 1.0, 0, aligned=True)
        return align(self.masks.tensor[used].to(torch.float32)[:, None], rois)[:, 0] >= 0.5


class ReferringSamples:
    """Samples refer to the masks of their objects; goes before ROI heads in the list of base classes."""

    def _select(self, values: Any, objects: torch.Tensor) -> Any:
        """As `SampledROIHeads._select`; masks stay where they are."""
        if isinstance(values, BitMasks | PolygonMasks) and objects.device.type == "cpu":
            return MatchedMasks(values, objects)
        return values[objects]


class ReferringROIHeads(ReferringSamples, PaddleXROIHeads):
    """`PaddleXROIHeads` in its faster form."""


class ReferringRes5ROIHeads(ReferringSamples, PaddleXRes5ROIHeads):
    """`PaddleXRes5ROIHeads` in its faster form."""
