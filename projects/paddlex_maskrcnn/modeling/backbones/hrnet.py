"""HRNet-W18: a backbone that keeps its high-resolution maps from the first layer to the last.

Paper: "Deep High-Resolution Representation Learning", https://arxiv.org/abs/1908.07919.
Origin: the same network as timm's `hrnet_w18` without its classification part, written with
Detectron2's blocks.
Differences: frozen stages, choice of norm and gradient checkpointing, which timm's lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone.resnet import BottleneckBlock
from torch import Tensor, nn

from ..necks.hrfpn import HRFPN
from .checkpointing import checkpointed, run_checkpointed
from .high_resolution_module import HighResolutionModule, conv_norm
from .norms import check_norm, norm_for_any_width

W18_WIDTHS = (18, 36, 72, 144)
NUM_MODULES = (1, 4, 3)  # of stage 2, 3 and 4
NUM_STEM_CHANNELS = 64
NUM_STAGE1_CHANNELS = 256
NUM_STAGE1_BLOCKS = 4


class HRNet(Backbone):
    """Four parallel branches; outputs res2 … res5 with strides 4 … 32 and `widths` channels.

    Args:
        in_channels: channels of the images.
        widths: channels of the branches, from high to low resolution.
        norm: one of `norms.NORMS`.
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
