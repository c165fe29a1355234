"""Layers in which ResNets differ: deep stem and pooled shortcut of ResNet-D ("vd"), projections.

Paper: "Bag of Tricks for Image Classification with CNNs", https://arxiv.org/abs/1812.01187, §4.
Origin: the same network as timm's `resnet*d`; names of parameters as in Detectron2's DeepLabStem
(projects/deeplab) and blocks.
"""

from __future__ import annotations

from typing import Any

import fvcore.nn.weight_init as weight_init
from detectron2.layers import CNNBlockBase, Conv2d, get_norm
from torch import Tensor
from torch.nn import functional


class DeepStem(CNNBlockBase):
    """Three 3x3 convolutions (the first with stride 2) and a max-pool: stride 4."""

    def __init__(self, in_channels: int = 3, out_channels: int = 64, norm: Any = "BN") -> None:
        super().__init__(in_channels, out_channels, 4)
        self.in_channels = in_channels
        half = out_channels // 2
        self.conv1 = _stem_conv(in_channels, half, norm, stride=2)
        self.conv2 = _stem_conv(half, half, norm)
        self.conv3 = _stem_conv(half, out_channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H/4, W/4)."""
        x = functional.relu_(self.conv1(x))
        x = functional.relu_(self.conv2(x))
        x = functional.relu_(self.conv3(x))
        return functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)


def _stem_conv(in_channels: int, out_channels: int, norm: Any, stride: int = 1) -> Conv2d:
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size=3,
        stride=stride,
        padding=1,
        bias=False,
        norm=get_norm(norm, out_channels),
    )
    weight_init.c2_msra_fill(conv)
    return conv


class PooledConv2d(Conv2d):
    """Average pooling, then a convolution: a strided shortcut that looks at every pixel.

    An odd last row or column is averaged over the pixels there are.
    """

    def __init__(self, *args: Any, pool: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', ceil(H / pool), ceil(W / pool))."""
        pooled = functional.avg_pool2d(x, self.pool, ceil_mode=True, count_include_pad=False)
        return super().forward(pooled)


def pool_shortcut(block: CNNBlockBase, norm: Any) -> None:
    """Replace the strided 1x1 shortcut of a block by average pooling and a 1x1 convolution."""
    block.shortcut = PooledConv2d(
        block.in_channels,
        block.out_channels,
        kernel_size=1,
        bias=False,
        norm=get_norm(norm, block.out_channels),
        pool=block.stride,
    )
    weight_init.c2_msra_fill(block.shortcut)


def project_shortcut(block: CNNBlockBase, norm: Any) -> None:
    """Give a block whose shortcut is the identity a 1x1 convolution there, as PaddleX's ResNet18."""
    block.shortcut = Conv2d(
        block.in_channels,
        block.out_channels,
        kernel_size=1,
        stride=block.stride,
        bias=False,
        norm=get_norm(norm, block.out_channels),
    )
    weight_init.c2_msra_fill(block.shortcut)
