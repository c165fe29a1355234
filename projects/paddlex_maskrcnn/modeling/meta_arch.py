"""Generalized R-CNN with what one image brings along: its padded size, its random numbers.

What: `pad_to` of an input (height, width in pixels) says up to where the data pipeline's Padding
operator wants the image to be filled.
Origin: PaddleX pads in the data pipeline, images and all; here only sizes travel and the model
fills with zeros after normalisation, as Detectron2 does for its own padding.
Differences: with no `pad_to` and no `sample_seed` (image_randomness.py) in the batch, and without
autocast (full_precision.py), this is Detectron2's `GeneralizedRCNN`, bit for bit on the plain path
(fast_path.py), elsewhere up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.structures import ImageList
from torch import channels_last
from torch.nn.functional import pad

from .box_head import read_channels_last
from .fast_conv import fold_norms
from .fast_path import is_fast_on_cpu
from .full_precision import keep_full_precision
from .image_randomness import drawing_from, image_generators


@META_ARCH_REGISTRY.register()
class PaddedRCNN(GeneralizedRCNN):
    """`GeneralizedRCNN` that honours the optional `pad_to` and `sample_seed` of its inputs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Arguments of `GeneralizedRCNN`."""
        super().__init__(*args, **kwargs)
        fold_norms(self)
        heads = self.roi_heads
        read_channels_last(getattr(heads, "box_head", None))
        keep_full_precision(self.backbone, self.proposal_generator.rpn_head, heads.box_predictor)
        if heads.mask_on:
            keep_full_precision(heads.mask_head.predictor)

    def forward(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """Losses in training, else detections, as Detectron2's."""
        if not self.training:
            return super().forward(batched_inputs)
        generators = image_generators(batched_inputs, self.device)
        with drawing_from(generators, self.proposal_generator, self.roi_heads):
            return super().forward(batched_inputs)

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Normalise, batch and pad the images.

        The batch becomes as high and wide as the largest `pad_to` in it, rounded up to what the
        backbone can divide; `image_sizes` stay those of the images themselves.
        """
        images = super().preprocess_image(batched_inputs)
        # the layout of the features follows from the image's
        if _is_faster_channels_last(images.tensor):
            images.tensor = images.tensor.contiguous(memory_format=channels_last)
        wanted = [x["pad_to"] for x in batched_inputs if x.get("pad_to") is not None]
        if not wanted:
            return images
        height, width = (self._round_up(max(sides)) for sides in zip(*wanted, strict=True))
        below = max(0, height - images.tensor.shape[-2])
        right = max(0, width - images.tensor.shape[-1])
        return ImageList(pad(images.tensor, (0, right, 0, below)), images.image_sizes)

    def _move_to_current_device(self, x: torch.Tensor) -> torch.Tensor:
        # as the parent's, but the host goes on while pinned memory is copied
        if torch.jit.is_tracing() or torch.jit.is_scripting():
            return super()._move_to_current_device(x)
        return x.to(self.device, non_blocking=True)

    def _round_up(self, side: int) -> int:
        constraints = self.backbone.padding_constraints or {}
        step = constraints.get("size_divisibility", self.backbone.size_divisibility) or 1
        return -(-side // step) * step


def _is_faster_channels_last(images: torch.Tensor) -> bool:
    """Whether convolutions want the channels of a pixel together: on a CPU, on a GPU in 16 bits."""
    return is_fast_on_cpu(images) or (images.is_cuda and torch.is_autocast_enabled("cuda"))
