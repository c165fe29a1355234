"""HRNet-W18, a backbone that keeps its high-resolution maps to the last layer, and its pyramid HRFPN.

Paper: "Deep High-Resolution Representation Learning", https://arxiv.org/abs/1908.07919 (HRNetV2p).
Origin: HRNet is the same network as timm's `hrnet_w18` without its classification part, written with
Detectron2's blocks; HRFPN is PaddleX 1.3's (behaviour notes §1.5).
Differences of HRNet from timm's: frozen stages, choice of norm and gradient checkpointing; maps from lower
resolutions are enlarged to the size of their target instead of by a factor, so sizes that are no
multiple of 32 work too.
Differences of HRFPN from PaddleX's: unless asked for, maps are enlarged with align_corners off, so that
they stay registered with the image (with it on, a coarse map is off by almost half its stride at the
borders); where a height or width is no multiple of 64, a last row or column of p6 averages the pixels
there are, where PaddleX leaves them out; weights start with the Xavier fill of Detectron2's FPN,
since no ReLU follows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fvcore.nn.weight_init as weight_init
import torch
from detectron2.config import CfgNode
from detectron2.layers import Conv2d, FrozenBatchNorm2d, ShapeSpec, get_norm
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone.resnet import BasicBlock, BottleneckBlock
from torch import Tensor, nn
from torch.nn import functional

from .backbone import check_norm, checkpointed, norm_for_any_width, run_checkpointed

W18_WIDTHS = (18, 36, 72, 144)
NUM_MODULES = (1, 4, 3)  # of stage 2, 3 and 4
NUM_BRANCH_BLOCKS = 4  # of each branch of a module
NUM_STEM_CHANNELS = 64
NUM_STAGE1_CHANNELS = 256
NUM_STAGE1_BLOCKS = 4
NUM_LEVELS = 5  # of the pyramid


@BACKBONE_REGISTRY.register()
def build_hrnet_hrfpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> HRFPN:
    """HRNet-W18 under its pyramid HRFPN, levels p2 … p6 with MODEL.FPN.OUT_CHANNELS channels.

    Raises:
        ValueError: an unknown MODEL.HRNET.NORM, or MODEL.BACKBONE.FREEZE_AT outside 0 … 5.
    """
    check_norm("MODEL.HRNET.NORM", cfg.MODEL.HRNET.NORM)
    bottom_up = HRNet(
        input_shape.channels,
        norm=cfg.MODEL.HRNET.NORM,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
        gradient_checkpointing=cfg.MODEL.BACKBONE.GRADIENT_CHECKPOINTING,
    )
    return HRFPN(
        bottom_up,
        cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        align_corners=cfg.MODEL.HRNET.get("ALIGN_CORNERS", False),
    )


class HRNet(Backbone):
    """Four parallel branches; outputs res2 … res5 with strides 4 … 32 and `widths` channels.

    Args:
        in_channels: channels of the images.
        widths: channels of the branches, from high to low resolution.
        norm: one of `backbone.NORMS`.
        freeze_at: how many parts are frozen, in the order stem, stage1, stage2, stage3, stage4.
        gradient_checkpointing: recompute blocks and modules in the backward pass.
    """

    def __init__(
        self,
        in_channels: int = 3,
        widths: Sequence[int] = W18_WIDTHS,
        norm: str = "BN",
        freeze_at: int = 0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        make = norm_for_any_width(norm)
        self.stem = nn.Sequential()
        self.stem.add_module("conv1", _halving(in_channels, NUM_STEM_CHANNELS, make))
        self.stem.add_module("conv2", _halving(NUM_STEM_CHANNELS, NUM_STEM_CHANNELS, make))
        self.stage1 = _stage1(make)
        self.transition1 = nn.ModuleList(
            [
                conv_norm(NUM_STAGE1_CHANNELS, widths[0], make, relu=True),
                _halving(NUM_STAGE1_CHANNELS, widths[1], make),
            ]
        )
        self.stage2 = _stage(widths[:2], NUM_MODULES[0], make)
        self.transition2 = _halving(widths[1], widths[2], make)
        self.stage3 = _stage(widths[:3], NUM_MODULES[1], make)
        self.transition3 = _halving(widths[2], widths[3], make)
        self.stage4 = _stage(widths[:4], NUM_MODULES[2], make)

        self.gradient_checkpointing = gradient_checkpointing
        self._out_features = [f"res{level}" for level in range(2, 6)]
        self._out_feature_channels = dict(zip(self._out_features, widths, strict=True))
        self._out_feature_strides = dict(zip(self._out_features, (4, 8, 16, 32), strict=True))
        self.freeze(freeze_at)

    @property
    def size_divisibility(self) -> int:
        return 32

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) to res2 … res5, (N, widths[i], H / 2**(i+2), W / 2**(i+2))."""
        x = self._run_blocks(self.stage1, self.stem(x))
        maps = self._run_modules(self.stage2, [layer(x) for layer in self.transition1])
        maps = self._run_modules(self.stage3, [*maps, self.transition2(maps[-1])])
        maps = self._run_modules(self.stage4, [*maps, self.transition3(maps[-1])])
        return dict(zip(self._out_features, maps, strict=True))

    def _run_blocks(self, blocks: nn.Sequential, x: Tensor) -> Tensor:
        return run_checkpointed(blocks, x) if self.gradient_checkpointing else blocks(x)

    def _run_modules(self, modules: nn.ModuleList, maps: list[Tensor]) -> list[Tensor]:
        for module in modules:
            maps = checkpointed(module, *maps) if self.gradient_checkpointing else module(*maps)
        return maps

    def freeze(self, freeze_at: int = 0) -> HRNet:
        """Freeze the first parts: no gradients, batch norms become FrozenBN.

        Raises:
            ValueError: freeze_at is not in 0 … 5; named by its cfg key.
        """
        if freeze_at not in range(6):
            raise ValueError(f"MODEL.BACKBONE.FREEZE_AT: got {freeze_at}; HRNet allows 0 to 5")
        for part in self._parts()[:freeze_at]:
            for parameter in part.parameters():
                parameter.requires_grad = False
            FrozenBatchNorm2d.convert_frozen_batchnorm(part)
        return self

    def _parts(self) -> list[nn.ModuleList]:
        return [
            nn.ModuleList([self.stem]),
            nn.ModuleList([self.stage1]),
            nn.ModuleList([self.transition1, self.stage2]),
            nn.ModuleList([self.transition2, self.stage3]),
            nn.ModuleList([self.transition3, self.stage4]),
        ]


def _halving(in_channels: int, out_channels: int, norm: Any) -> nn.Module:
    return conv_norm(in_channels, out_channels, norm, stride=2, relu=True)


def _stage1(norm: Any) -> nn.Sequential:
    channels = [NUM_STEM_CHANNELS] + [NUM_STAGE1_CHANNELS] * NUM_STAGE1_BLOCKS
    return nn.Sequential(
        *[
            BottleneckBlock(
                channels[i],
                channels[i + 1],
                bottleneck_channels=NUM_STAGE1_CHANNELS // 4,
                norm=norm,
            )
            for i in range(NUM_STAGE1_BLOCKS)
        ]
    )


def _stage(widths: Sequence[int], num_modules: int, norm: Any) -> nn.ModuleList:
    return nn.ModuleList(HighResolutionModule(widths, norm) for _ in range(num_modules))


class HighResolutionModule(nn.Module):
    """Four basic blocks on each branch, then every branch receives the sum over all branches.

    Branch i has widths[i] channels and half the height and width of branch i - 1.
    """

    def __init__(self, widths: Sequence[int], norm: Any) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*[BasicBlock(width, width, norm=norm) for _ in range(NUM_BRANCH_BLOCKS)])
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
        self.reduction = _pyramid_conv(in_channels, out_channels, 1, norm)
        self._out_features = [f"p{level}" for level in range(2, 2 + NUM_LEVELS)]
        self._out_feature_channels = dict.fromkeys(self._out_features, out_channels)
        self._out_feature_strides = {name: 2 ** int(name[1:]) for name in self._out_features}
        for name in self._out_features:
            self.add_module(
                f"fpn_output{name[1:]}", _pyramid_conv(out_channels, out_channels, 3, norm)
            )

    @property
    def size_divisibility(self) -> int:
        return self.bottom_up.size_divisibility

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) to p2 … p6, (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        reduced = self.reduction(
            _concatenated(list(self.bottom_up(x).values()), self.align_corners)
        )
        levels = {}
        for i, name in enumerate(self._out_features):
            pooled = functional.avg_pool2d(reduced, 2**i, ceil_mode=True) if i else reduced
            levels[name] = self.get_submodule(f"fpn_output{name[1:]}")(pooled)
        return levels


def _concatenated(maps: list[Tensor], align_corners: bool) -> Tensor:
    """Enlarge all maps to the size of the first and join their channels."""
    size = maps[0].shape[-2:]
    enlarged = [
        functional.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)
        for x in maps[1:]
    ]
    return torch.cat([maps[0], *enlarged], dim=1)


def _pyramid_conv(in_channels: int, out_channels: int, kernel_size: int, norm: str) -> Conv2d:
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
