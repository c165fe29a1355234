"""The residual stages of ResNet 18 to 152, variants b and d, as MODEL.RESNETS describes them.

Origin: `detectron2/modeling/backbone/resnet.py: build_resnet_backbone`, taken apart so that the
backbone and the res5 head of a model without FPN are made in one place.
Differences: see `resnet_variant.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase
from detectron2.modeling.backbone.resnet import BasicBlock, BottleneckBlock, ResNet

from ..deform import DeformBasicBlock, DeformBottleneckBlock
from .norms import check_norm
from .resnet_layers import pool_shortcut, project_shortcut

NUM_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
VARIANTS = ("b", "d")


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
