"""Generalized R-CNN with what one image brings along: its padded size, its random numbers.

What: `pad_to` of an input (height, width in pixels) says up to where the data pipeline's Padding
operator wants the image to be filled; `sample_seed` is explained in samplers.py.
Origin: PaddleX pads in the data pipeline, images and all; here only sizes travel and the model
fills with zeros after normalisation, as Detectron2 does for its own padding.
Differences: with neither in the batch, and without autocast, this is Detectron2's `GeneralizedRCNN`, bit
for bit.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.structures import ImageList
from torch import nn
from torch.nn.functional import pad

from .samplers import image_generators


@META_ARCH_REGISTRY.register()
class PaddedRCNN(GeneralizedRCNN):
    """`GeneralizedRCNN` that honours the optional `pad_to` and `sample_seed` of its inputs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Arguments of `GeneralizedRCNN`."""
        super().__init__(*args, **kwargs)
        heads = self.roi_heads
        keep_full_precision(self.backbone, self.proposal_generator.rpn_head, heads.box_predictor)
        if heads.mask_on:
            keep_full_precision(heads.mask_head.predictor)

    def forward(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """Losses in training, else detections, as Detectron2's."""
        if not self.training:
            return super().forward(batched_inputs)
        with image_generators(batched_inputs, self.device):
            return super().forward(batched_inputs)

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Normalise, batch and pad the images.

        The batch becomes as high and wide as the largest `pad_to` in it, rounded up to what the
        backbone can divide; `image_sizes` stay those of the images themselves.
        """
        images = super().preprocess_image(batched_inputs)
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


def keep_full_precision(*modules: nn.Module) -> None:
    """Make every 16-bit tensor in these modules' outputs a 32-bit one.

    What becomes losses and boxes leaves 16-bit layers in 32 bits: under autocast Detectron2 rounds box
    coordinates to the features' type before pooling, and bfloat16 has no odd pixels above 256;
    differences and exponentials of 16-bit deltas lose as much. Without autocast nothing changes.
    """
    for module in modules:
        module.register_forward_hook(lambda _module, _inputs, outputs: as_float(outputs))


def as_float(value: Any) -> Any:
    """The value with its floating-point tensors in 32 bits; lists, tuples and dicts keep their form."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: as_float(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_float(item) for item in value)
    return value
