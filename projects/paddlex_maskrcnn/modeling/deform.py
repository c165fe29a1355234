"""Deformable convolution, version 2 (modulated) and 1, and the residual blocks that use it.

Papers: "Deformable ConvNets v2", https://arxiv.org/abs/1811.11168, and version 1,
https://arxiv.org/abs/1703.06211.
Origin: the arithmetic is `torchvision.ops.deform_conv2d`; names, shapes and channel order of the
parameters are those of `detectron2/modeling/backbone/resnet.py: DeformBottleneckBlock`, so that
Detectron2's `dconv` checkpoints load.
Differences from Detectron2: runs on CPU and GPU without its compiled extension; the sampling is
always done in float32 or better; basic blocks (ResNet18) can be deformable as well, in their second
convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.layers import Conv2d
from detectron2.modeling.backbone.resnet import BasicBlock, BottleneckBlock
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import deform_conv2d


class ModulatedDeformConv(Conv2d):
    """A convolution whose taps are moved by per-position offsets and weighted by a mask.

    Takes the arguments of Detectron2's class of the same name, of which `deformable_groups` is the
    number of channel groups with offsets of their own.
    """

    def __init__(self, *args: Any, deformable_groups: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deformable_groups = deformable_groups

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        """Convolve at the moved positions; outside the input the signal is zero.

        Args:
            x: input, (N, C, H, W).
            offset: shifts in input pixels, (N, 2·G·kh·kw, H', W'): per group and tap, dy then dx.
            mask: weights of the taps, (N, G·kh·kw, H', W'); without it all are 1 (version 1).

        Returns:
            (N, C', H', W') in the type of x.
        """
        out = self._sample_and_weight(x, offset, mask)
        if self.norm is not None:
            out = self.norm(out)
        return out if self.activation is None else self.activation(out)

    def _sample_and_weight(self, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
        # Half precision would round sampling positions to a quarter pixel at x = 300, and the CPU
        # kernel knows float32 and float64 only; hence full precision here, under autocast too.
        dtype = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            out = deform_conv2d(
                x.to(dtype),
                offset.to(dtype),
                self.weight.to(dtype),
                None if self.bias is None else self.bias.to(dtype),
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                mask=None if mask is None else mask.to(dtype),
            )
        return out.to(x.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, deformable_groups={self.deformable_groups}"


class DeformBottleneckBlock(BottleneckBlock):
    """Bottleneck block with a deformable 3x3 convolution.

    Starts with zero offsets and, if modulated, every mask at sigmoid(0) = 0.5: the convolution then
    answers at half strength until it is trained, as in Detectron2 and PaddleX.
    """

    conv2: ModulatedDeformConv

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        deform_modulated: bool = True,
        deform_num_groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        self.conv2 = _deformable_like(self.conv2, deform_num_groups)
        self.conv2_offset = _offset_conv(self.conv2, deform_modulated)

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu_(self.conv1(x))
        out = functional.relu_(_convolve_deformed(self.conv2, self.conv2_offset, out))
        return _add_shortcut(self.conv3(out), self.shortcut, x)


class DeformBasicBlock(BasicBlock):
    """Basic block with a deformable second convolution; starts like `DeformBottleneckBlock`."""

    conv2: ModulatedDeformConv

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        deform_modulated: bool = True,
        deform_num_groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        self.conv2 = _deformable_like(self.conv2, deform_num_groups)
        self.conv2_offset = _offset_conv(self.conv2, deform_modulated)

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu_(self.conv1(x))
        out = _convolve_deformed(self.conv2, self.conv2_offset, out)
        return _add_shortcut(out, self.shortcut, x)


def _deformable_like(conv: Conv2d, groups: int) -> ModulatedDeformConv:
    """A deformable convolution of the same geometry that takes over weight and norm."""
    deformable = ModulatedDeformConv(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        bias=False,
        norm=conv.norm,
        deformable_groups=groups,
    )
    deformable.weight = conv.weight
    return deformable


def _offset_conv(conv: ModulatedDeformConv, modulated: bool) -> Conv2d:
    """The convolution that predicts offsets and mask logits for `conv`, initialised with zeros."""
    height, width = conv.kernel_size
    offset_conv = Conv2d(
        conv.in_channels,
        (3 if modulated else 2) * height * width * conv.deformable_groups,
        kernel_size=conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
    )
    nn.init.zeros_(offset_conv.weight)
    assert offset_conv.bias is not None
    nn.init.zeros_(offset_conv.bias)
    return offset_conv


def _convolve_deformed(conv: ModulatedDeformConv, offset_conv: Conv2d, x: Tensor) -> Tensor:
    """Predict offsets and mask from x and apply `conv` with them."""
    predicted = offset_conv(x)
    height, width = conv.kernel_size
    num_offsets = 2 * height * width * conv.deformable_groups
    if predicted.shape[1] == num_offsets:
        return conv(x, predicted)
    # Detectron2 calls the first two thirds offset_x and offset_y, joins them again and hands them
    # to a kernel that reads (dy, dx) pairs: so the channels are simply offsets, then mask logits.
    return conv(x, predicted[:, :num_offsets], predicted[:, num_offsets:].sigmoid())


def _add_shortcut(out: Tensor, shortcut: nn.Module | None, x: Tensor) -> Tensor:
    out += x if shortcut is None else shortcut(x)
    return functional.relu_(out)
