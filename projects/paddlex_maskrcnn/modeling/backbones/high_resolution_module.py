"""The building block of HRNet: parallel branches, then an exchange between all resolutions.

Paper: "Deep High-Resolution Representation Learning", https://arxiv.org/abs/1908.07919, §3.
Origin: the same arithmetic as timm's `HighResolutionModule`, on Detectron2's blocks.
Difference: maps from lower resolutions are enlarged to the size of their target instead of by a
factor, so sizes that are no multiple of 32 work too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fvcore.nn.weight_init as weight_init
from detectron2.layers import Conv2d, get_norm
from detectron2.modeling.backbone.resnet import BasicBlock
from torch import Tensor, nn
from torch.nn import functional

NUM_BLOCKS = 4


class HighResolutionModule(nn.Module):
    """Four basic blocks on each branch, then every branch receives the sum over all branches.

    Branch i has widths[i] channels and half the height and width of branch i - 1.
    """

    def __init__(self, widths: Sequence[int], norm: Any) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*[BasicBlock(width, width, norm=norm) for _ in range(NUM_BLOCKS)])
            for width in widths
        )
        indices = range(len(widths))
        self.fuse = nn.ModuleList(
            nn.ModuleList(_exchange(widths, source, target, norm) for source in indices)
            for target in indices
        )

    def forward(self, *maps: Tensor) -> list[Tensor]:
        """Maps from high to low resolution, (N, widths[i], H / 2**i, W / 2**i), to the same."""
        maps = tuple(branch(x) for branch, x in zip(self.branches, maps, strict=True))
        return [self._fuse(target, maps) for target in range(len(maps))]

    def _fuse(self, target: int, maps: Sequence[Tensor]) -> Tensor:
        size = maps[target].shape[-2:]
        parts = []
        for source, exchange in enumerate(self.fuse[target].children()):
            part = exchange(maps[source])
            parts.append(functional.interpolate(part, size=size) if source > target else part)
        total = parts[0] + parts[1]
        for part in parts[2:]:
            total = total + part
        return functional.relu_(total)


def _exchange(widths: Sequence[int], source: int, target: int, norm: Any) -> nn.Module:
    """The convolutions that turn branch `source` into a summand of branch `target`."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(conv_norm(widths[source], widths[target], norm, kernel_size=1))
    halvings = target - source
    return nn.Sequential(
        *(
            conv_norm(widths[source], widths[source], norm, stride=2, relu=True)
            for _ in range(halvings - 1)
        ),
        conv_norm(widths[source], widths[target], norm, stride=2),
    )


def conv_norm(
    in_channels: int,
    out_channels: int,
    norm: Any,
    kernel_size: int = 3,
    stride: int = 1,
    relu: bool = False,
) -> Conv2d:
    """A convolution without bias that keeps the size (but for its stride), norm, perhaps ReLU."""
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        bias=False,
        norm=get_norm(norm, out_channels),
        activation=functional.relu_ if relu else None,
    )
    weight_init.c2_msra_fill(conv)
    return conv
