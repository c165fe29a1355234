"""Box head whose first matrix product reads the pooled regions as they lie in memory.

What: Detectron2's `FastRCNNConvFCHead`, same layers, same parameter names. On a CPU, without gradients,
its first product is computed as a convolution as large as a region: regions stay channels last instead
of being copied, and oneDNN convolves faster than the matrix library multiplies.
Paper: FPN, https://arxiv.org/abs/1612.03144 (two layers of 1024).
Differences: equal up to rounding, with `plain_path` bit for bit.
"""

from __future__ import annotations

import torch
from detectron2.modeling.roi_heads.box_head import FastRCNNConvFCHead
from torch import channels_last
from torch.nn.functional import conv2d, relu_

from .fast_path import is_fast_on_cpu
from .kept import forget, kept


class FastBoxHead(FastRCNNConvFCHead):
    """`FastRCNNConvFCHead` for regions that are channels last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(R, C, size, size) to (R, C')."""
        if torch.is_grad_enabled() or not self.fcs or not is_fast_on_cpu(x):
            return super().forward(x)
        for layer in self.conv_norm_relus:
            x = layer(x)
        first, *others = self.fcs
        weight = kept(self, "convolution", [first.weight], lambda: _as_convolution(first, x))
        x = relu_(conv2d(x, weight, first.bias).flatten(1))
        for layer in others:
            x = relu_(layer(x))
        return x

    def train(self, mode: bool = True) -> FastBoxHead:
        """As the parent's; nothing stays kept, whatever may have changed since."""
        forget(self)
        return super().train(mode)


def read_channels_last(head: torch.nn.Module | None) -> None:
    """Let Detectron2's box head compute so; other heads stay as they are."""
    if type(head) is FastRCNNConvFCHead:
        head.__class__ = FastBoxHead


def _as_convolution(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """Weights (C', C, size, size), channels last in memory."""
    weight = layer.weight.view(-1, *x.shape[1:])
    return weight.contiguous(memory_format=channels_last)
