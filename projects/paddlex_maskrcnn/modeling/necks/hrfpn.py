"""HRFPN: the feature pyramid of HRNet, made of its four maps put together at the finest stride.

Paper: "Deep High-Resolution Representation Learning", https://arxiv.org/abs/1908.07919 (HRNetV2p).
Origin: PaddleX 1.3 (behaviour notes §1.5).
Differences from PaddleX: unless asked for, maps are enlarged with align_corners off, so that they
stay registered with the image (with it on, a coarse map is off by almost half its stride at the
borders); where a height or width is no multiple of 64, a last row or column of p6 averages the pixels
there are, where PaddleX leaves them out; weights start with the Xavier fill of Detectron2's FPN,
since no ReLU follows them.
"""

from __future__ import annotations

import fvcore.nn.weight_init as weight_init
import torch
from detectron2.layers import Conv2d, get_norm
from detectron2.modeling import Backbone
from torch import Tensor
from torch.nn import functional

NUM_LEVELS = 5


class HRFPN(Backbone):
    """Levels p2 … p6, strides 4 … 64, from a backbone whose finest map has stride 4.

    Args:
        bottom_up: backbone; all its outputs are used, in their order.
        out_channels: channels of every level.
        norm: norm after each convolution, in the form of Detectron2's `get_norm`; "" for none.
        align_corners: how maps are enlarged; on only for weights that were trained so.
    """

    def __init__(
        self, bottom_up: Backbone, out_channels: int, norm: str = "", align_corners: bool = False
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.bottom_up = bottom_up
        in_channels = sum(shape.channels for shape in bottom_up.output_shape().values())
        self.reduction = _conv(in_channels, out_channels, 1, norm)
        self._out_features = [f"p{level}" for level in range(2, 2 + NUM_LEVELS)]
        self._out_feature_channels = dict.fromkeys(self._out_features, out_channels)
        self._out_feature_strides = {name: 2 ** int(name[1:]) for name in self._out_features}
        for name in self._out_features:
            self.add_module(f"fpn_output{name[1:]}", _conv(out_channels, out_channels, 3, norm))

    @property
    def size_divisibility(self) -> int:
        return self.bottom_up.size_divisibility

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) to p2 … p6, (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        reduced = self.reduction(_concatenate(list(self.bottom_up(x).values()), self.align_corners))
        levels = {}
        for i, name in enumerate(self._out_features):
            pooled = functional.avg_pool2d(reduced, 2**i, ceil_mode=True) if i else reduced
            levels[name] = self.get_submodule(f"fpn_output{name[1:]}")(pooled)
        return levels


def _concatenate(maps: list[Tensor], align_corners: bool) -> Tensor:
    """Enlarge all maps to the size of the first and join their channels."""
    size = maps[0].shape[-2:]
    enlarged = [
        functional.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)
        for x in maps[1:]
    ]
    return torch.cat([maps[0], *enlarged], dim=1)


def _conv(in_channels: int, out_channels: int, kernel_size: int, norm: str) -> Conv2d:
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        padding=kernel_size // 2,
        bias=False,
        norm=get_norm(norm, out_channels),
    )
    weight_init.c2_xavier_fill(conv)
    return conv
