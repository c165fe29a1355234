"""ResNet 18 to 152 with what Detectron2's builder lacks: variant d, deformable stages, checkpointing.

Papers: ResNet, https://arxiv.org/abs/1512.03385; variant d (deep stem, pooled shortcuts, "vd" in PaddleX),
"Bag of Tricks for Image Classification with CNNs", https://arxiv.org/abs/1812.01187, §4.
Origin: assembled from `detectron2/modeling/backbone/resnet.py`; with variant b and nothing deformable the
network is Detectron2's own, name by name and bit by bit. Variant d is the same network as timm's
`resnet*d`, with the parameter names of Detectron2's DeepLabStem (projects/deeplab) and blocks.
Differences from Detectron2: MODEL.RESNETS.VARIANT d; deformable stages need no compiled extension and
exist for depths 18 and 34 too.
Difference from PaddleX: the first block of res2 in depth 18 has the identity shortcut of torchvision and
Detectron2, unless MODEL.RESNETS.PROJECT_RES2 asks for PaddleX's projection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import fvcore.nn.weight_init as weight_init
from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase, Conv2d, ShapeSpec, get_norm
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, BottleneckBlock, ResNet
from torch import Tensor, nn
from torch.nn import functional

from .backbone import check_norm, run_checkpointed
from .deform import DeformBasicBlock, DeformBottleneckBlock

NUM_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
VARIANTS = ("b", "d")


@BACKBONE_REGISTRY.register()
def build_resnet_variant_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    """A ResNet of MODEL.RESNETS for images with input_shape.channels channels.

    Raises:
        ValueError: as ResNetDesign.
    """
    design = build_resnet_design(cfg)
    stem_class = DeepStem if design.variant == "d" else BasicStem
    stem = stem_class(input_shape.channels, design.stem_out_channels, design.norm)
    stages, channels = [], design.stem_out_channels
    for stage in range(2, 6):
        stages.append(make_stage(design, stage, channels))
        channels = design.out_channels(stage)
    network = CheckpointedResNet if cfg.MODEL.BACKBONE.GRADIENT_CHECKPOINTING else ResNet
    return network(
        stem,
        stages,
        out_features=cfg.MODEL.RESNETS.OUT_FEATURES,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )


@BACKBONE_REGISTRY.register()
def build_resnet_variant_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """`build_resnet_variant_backbone` under Detectron2's FPN with a max-pooled last level.

    Raises:
        ValueError: as ResNetDesign.
    """
    return FPN(
        bottom_up=build_resnet_variant_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


def build_res5_stage(cfg: CfgNode, input_channels: int) -> tuple[nn.Sequential, int]:
    """The last stage as head of a model without FPN: (R, C, 14, 14) to (R, C', 7, 7).

    Returns:
        the blocks and C'.

    Raises:
        ValueError: as ResNetDesign; or the last entry of MODEL.RESNETS.DEFORM_ON_PER_STAGE is True.
    """
    design = replace(build_resnet_design(cfg), res5_dilation=1)
    if design.deform_on_per_stage[-1]:
        raise ValueError(
            "MODEL.RESNETS.DEFORM_ON_PER_STAGE: the last entry is True, but without FPN stage res5 "
            "is the box head, which has no deformable convolutions; set it to False"
        )
    return nn.Sequential(*make_stage(design, 5, input_channels)), design.out_channels(5)


class CheckpointedResNet(ResNet):
    """ResNet that recomputes its residual blocks in the backward pass to save memory."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) to the asked-for maps by name."""
        x = self.stem(x)
        outputs = {"stem": x}
        for name, stage in zip(self.stage_names, self.stages, strict=True):
            x = outputs[name] = run_checkpointed(stage, x)
        return {name: outputs[name] for name in outputs if name in self._out_features}


@dataclass(frozen=True)
class ResNetDesign:
    """What the residual stages of one network have in common; the fields are MODEL.RESNETS keys.

    Raises:
        ValueError: an unknown depth, variant or norm, or a width the depth cannot have.
    """

    depth: int
    variant: str
    norm: str
    stem_out_channels: int
    res2_out_channels: int
    num_groups: int
    width_per_group: int
    stride_in_1x1: bool
    res5_dilation: int
    deform_on_per_stage: tuple[bool, ...]
    deform_modulated: bool
    deform_num_groups: int
    project_res2: bool = False

    def __post_init__(self) -> None:
        _check_choice("DEPTH", self.depth, tuple(NUM_BLOCKS))
        _check_choice("VARIANT", self.variant, VARIANTS)
        _check_choice("RES5_DILATION", self.res5_dilation, (1, 2) if self.has_bottlenecks else (1,))
        check_norm("MODEL.RESNETS.NORM", self.norm)
        if not self.has_bottlenecks:
            _check_choice("RES2_OUT_CHANNELS", self.res2_out_channels, (64,))
            _check_choice("NUM_GROUPS", self.num_groups, (1,))
        if len(self.deform_on_per_stage) != 4:
            raise ValueError(
                f"MODEL.RESNETS.DEFORM_ON_PER_STAGE: got {list(self.deform_on_per_stage)}; "
                "it must have four entries, for res2 to res5"
            )

    @property
    def has_bottlenecks(self) -> bool:
        return self.depth >= 50

    def out_channels(self, stage: int) -> int:
        """Channels that stage 2, 3, 4 or 5 gives out."""
        return self.res2_out_channels * 2 ** (stage - 2)


def make_stage(design: ResNetDesign, stage: int, in_channels: int) -> list[CNNBlockBase]:
    """The blocks of stage 2, 3, 4 or 5."""
    index = stage - 2
    dilation = design.res5_dilation if stage == 5 else 1
    stride = 1 if stage == 2 or dilation == 2 else 2
    num_blocks = NUM_BLOCKS[design.depth][index]
    blocks = ResNet.make_stage(
        num_blocks=num_blocks,
        stride_per_block=[stride] + [1] * (num_blocks - 1),
        in_channels=in_channels,
        out_channels=design.out_channels(stage),
        norm=design.norm,
        **_block_arguments(design, stage, dilation),
    )
    if design.variant == "d" and stride > 1:
        pool_shortcut(blocks[0], design.norm)
    if design.project_res2 and stage == 2 and not design.has_bottlenecks:
        project_shortcut(blocks[0], design.norm)
    return blocks


def _block_arguments(design: ResNetDesign, stage: int, dilation: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    deformable = design.deform_on_per_stage[stage - 2]
    if design.has_bottlenecks:
        arguments["block_class"] = DeformBottleneckBlock if deformable else BottleneckBlock
        width = design.num_groups * design.width_per_group
        arguments["bottleneck_channels"] = width * 2 ** (stage - 2)
        arguments["stride_in_1x1"] = design.stride_in_1x1
        arguments["dilation"] = dilation
        arguments["num_groups"] = design.num_groups
    else:
        arguments["block_class"] = DeformBasicBlock if deformable else BasicBlock
    if deformable:
        arguments["deform_modulated"] = design.deform_modulated
        arguments["deform_num_groups"] = design.deform_num_groups
    return arguments


def build_resnet_design(cfg: CfgNode) -> ResNetDesign:
    """Read MODEL.RESNETS.

    Raises:
        ValueError: as ResNetDesign.
    """
    keys = cfg.MODEL.RESNETS
    return ResNetDesign(
        depth=keys.DEPTH,
        variant=keys.VARIANT,
        norm=keys.NORM,
        stem_out_channels=keys.STEM_OUT_CHANNELS,
        res2_out_channels=keys.RES2_OUT_CHANNELS,
        num_groups=keys.NUM_GROUPS,
        width_per_group=keys.WIDTH_PER_GROUP,
        stride_in_1x1=keys.STRIDE_IN_1X1,
        res5_dilation=keys.RES5_DILATION,
        deform_on_per_stage=tuple(keys.DEFORM_ON_PER_STAGE),
        deform_modulated=keys.DEFORM_MODULATED,
        deform_num_groups=keys.DEFORM_NUM_GROUPS,
        project_res2=keys.get("PROJECT_RES2", False),
    )


def _check_choice(key: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"MODEL.RESNETS.{key}: {value!r} is not allowed here; use {choices}")


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
