"""Convolutions with their frozen norm folded in, and images with the channels of a pixel together.

What: a norm with fixed statistics multiplies and shifts each channel, which a convolution can do by
itself: weights times scale, and a bias. In `eval()` the folded weights are cached. In training they are
computed anew as part of the graph, which is less work than a pass over the output where that is larger
than the weights. Channels-last features save oneDNN's convolutions and the pooling of regions a copy.
Origin: a well-known identity; as `torch.nn.utils.fuse_conv_bn_eval`, without changing the module:
parameters, their names and a state dict stay Detectron2's.
Differences from Detectron2's `Conv2d`: equal up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from detectron2.structures import ImageList
from torch import nn
from torch.nn.functional import conv2d

from ..modeling.meta_arch import PaddedRCNN
from .guard import is_faster_here

Folded = tuple[torch.Tensor, torch.Tensor]


class ChannelsLastRCNN(PaddedRCNN):
    """`PaddedRCNN` whose images are channels last, which the features then are too."""

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """As the parent's."""
        images = super().preprocess_image(batched_inputs)
        if is_faster_here(images.tensor):
            images.tensor = images.tensor.contiguous(memory_format=torch.channels_last)
        return images


class FoldedConv2d(Conv2d):
    """`Conv2d` that folds a norm with fixed statistics into its weights."""

    # Weights and bias with the norm in them, and the state of the tensors they were computed from.
    # In `eval()` only: torch counts the changes of a tensor, but neither those of its fused optimizers
    # (the default, SGD, is one) nor those made through `.data`, which belong to training.
    _cached: tuple[list[tuple[int, int]], Folded] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C', H', W')."""
        if not is_faster_here(x) or not has_fixed_statistics(self.norm):
            return super().forward(x)
        if self.training or torch.is_grad_enabled():
            if self._outputs(x) <= self.weight.numel():
                return super().forward(x)
            weight, bias = folded(self.weight, self.bias, *affine(self.norm))
        else:
            weight, bias = self._cached_or_folded()
        x = conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        return x if self.activation is None else self.activation(x)

    def train(self, mode: bool = True) -> FoldedConv2d:
        """As the parent's; nothing stays cached, whatever may have changed since."""
        self._cached = None
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._cached = None
        super()._load_from_state_dict(*args, **kwargs)

    def _outputs(self, x: torch.Tensor) -> int:
        """Numbers in the output of one image: results must not depend on the size of the batch."""
        height, width = self.stride
        return x.shape[2] // height * (x.shape[3] // width) * self.out_channels

    def _cached_or_folded(self) -> Folded:
        used = list(self._tensors())
        if any(tensor.is_inference() for tensor in used):  # those do not count their changes
            return folded(self.weight, self.bias, *affine(self.norm))
        state = [(tensor.data_ptr(), tensor._version) for tensor in used]
        if self._cached is None or self._cached[0] != state:
            # a context of inference mode, left or entered, turns gradients on again
            with torch.inference_mode(False), torch.no_grad():
                self._cached = state, folded(self.weight, self.bias, *affine(self.norm))
        return self._cached[1]

    def _tensors(self) -> Iterator[torch.Tensor]:
        """What the folded weights depend on."""
        yield from self.parameters()
        if self.norm is not None:
            yield from self.norm.buffers()


def has_fixed_statistics(norm: nn.Module | None) -> bool:
    """Whether a norm multiplies and shifts channels by numbers that the input does not change."""
    if isinstance(norm, nn.modules.batchnorm._BatchNorm):
        return not norm.training and norm.running_mean is not None and norm.weight is not None
    return isinstance(norm, FrozenBatchNorm2d)


def affine(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift (C,) of a norm with fixed statistics."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def folded(
    weight: torch.Tensor, bias: torch.Tensor | None, scale: torch.Tensor, shift: torch.Tensor
) -> Folded:
    """Weights (C', C, h, w) and bias (C',) of a convolution with its norm in it."""
    return weight * scale[:, None, None, None], shift if bias is None else bias * scale + shift
