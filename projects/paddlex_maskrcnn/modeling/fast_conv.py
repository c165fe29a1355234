"""Convolutions with their frozen norm folded in, in the fastest of a few ways.

What: a norm with fixed statistics multiplies and shifts each channel, which a convolution can do by
itself: weights times scale, and a bias. In evaluation, and for layers that do not train, the folded
weights are kept. In training they are computed anew as part of the graph where an image's output is larger
than the weights; elsewhere one pass over the output scales and shifts it. On a CPU
3x3 convolutions without gradients are computed by winograd.py. No choice depends on the size of the
batch, so that an image gives the same results alone and with others.
Origin: a well-known identity; as `torch.nn.utils.fuse_conv_bn_eval`, without changing the module:
parameters, their names and a state dict stay Detectron2's.
Differences from Detectron2's `Conv2d`: equal up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn
from torch.nn.functional import conv2d
from torch.nn.functional import relu as relu_of

from .fast_path import is_fast, is_fast_on_cpu
from .kept import forget, kept
from .winograd import convolve, pays, transformed_weight


class FastConv2d(Conv2d):
    """`Conv2d` that folds a norm with fixed statistics into its weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C', H', W')."""
        if not is_fast() or not (self.norm is None or has_fixed_statistics(self.norm)):
            return super().forward(x)
        if torch.is_grad_enabled() and (self.weight.requires_grad or x.requires_grad):
            x = self._with_gradients(x)
        elif self._is_winograd(x):
            relu = self.activation is relu_of or isinstance(self.activation, nn.ReLU)
            x = convolve(x, *self._kept_matrices(), relu=relu)
            if relu:
                return x
        else:
            x = self._convolved(x, *self._kept_weights())
        return x if self.activation is None else self.activation(x)

    def train(self, mode: bool = True) -> FastConv2d:
        """As the parent's; what was folded is forgotten, whatever may have changed since."""
        forget(self)
        return super().train(mode)

    def _convolved(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        return conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def _is_winograd(self, x: torch.Tensor) -> bool:
        return (
            self.kernel_size == (3, 3)
            and self.stride == self.padding == self.dilation == (1, 1)
            and self.groups == 1
            and is_fast_on_cpu(x)
            and pays(x, self.out_channels)
        )

    def _with_gradients(self, x: torch.Tensor) -> torch.Tensor:
        if self.norm is None:
            return self._convolved(x, self.weight, self.bias)
        if not self.weight.requires_grad:
            return self._convolved(x, *self._kept_weights())
        scale, shift = affine(self.norm)
        outputs = x.shape[2] * x.shape[3] * len(scale) // (self.stride[0] * self.stride[1])
        if self.bias is None and outputs <= self.weight.numel():
            x = self._convolved(x, self.weight, None)
            scale, shift = (one.to(x.dtype)[:, None, None] for one in (scale, shift))
            return torch.addcmul(shift, x, scale)
        return self._convolved(x, *folded(self.weight, self.bias, scale, shift))

    def _kept_weights(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weights and bias with the norm in them."""
        if self.norm is None:
            return self.weight, self.bias
        return kept(
            self, "folded", self._used(),
            lambda: folded(self.weight, self.bias, *affine(self.norm)),
        )  # fmt: skip

    def _kept_matrices(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The same as winograd.py takes them."""
        weight, bias = self._kept_weights()
        return kept(self, "matrices", self._used(), lambda: transformed_weight(weight)), bias

    def _used(self) -> list[torch.Tensor]:
        own = [self.weight] if self.bias is None else [self.weight, self.bias]
        return own + list(_tensors(self.norm))


def fold_norms(module: nn.Module) -> None:
    """Let all of Detectron2's convolutions in a module fold their norms."""
    for one in module.modules():
        if type(one) is Conv2d:
            one.__class__ = FastConv2d


def _tensors(norm: nn.Module | None) -> Iterator[torch.Tensor]:
    if norm is not None:
        yield from norm.parameters(recurse=False)
        yield from norm.buffers(recurse=False)


def has_fixed_statistics(norm: nn.Module) -> bool:
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
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (C', C, h, w) and bias (C',) of a convolution with its norm in it."""
    return weight * scale[:, None, None, None], shift if bias is None else bias * scale + shift
