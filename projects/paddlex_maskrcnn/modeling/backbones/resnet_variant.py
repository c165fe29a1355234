"""ResNet with the choices Detectron2's builder lacks: variant d, deformable stages, checkpointing.

Papers: ResNet, https://arxiv.org/abs/1512.03385; variant d, https://arxiv.org/abs/1812.01187.
Origin: assembled from `detectron2/modeling/backbone/resnet.py`; with variant b and nothing
deformable the network is Detectron2's own, name by name and bit by bit.
Differences from Detectron2: MODEL.RESNETS.VARIANT d has the deep stem and pooled shortcuts;
deformable stages need no compiled extension and exist for depths 18 and 34 too.
Difference from PaddleX: the first block of res2 in depth 18 has the identity shortcut of
torchvision and Detectron2, unless MODEL.RESNETS.PROJECT_RES2 asks for PaddleX's projection.
"""

from __future__ import annotations

from dataclasses import replace

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicStem, ResNet
from torch import Tensor, nn

from .checkpointing import run_checkpointed
from .resnet_design import build_resnet_design, make_stage
from .resnet_layers import DeepStem

_STEMS = {"b": BasicStem, "d": DeepStem}


class CheckpointedResNet(ResNet):
    """ResNet that recomputes its residual blocks in the backward pass to save memory."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) to the asked-for maps by name."""
        x = self.stem(x)
        outputs = {"stem": x}
        for name, stage in zip(self.stage_names, self.stages, strict=True):
            x = outputs[name] = run_checkpointed(stage, x)
        return {name: outputs[name] for name in outputs if name in self._out_features}


@BACKBONE_REGISTRY.register()
def build_resnet_variant_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    """A ResNet of MODEL.RESNETS for images with input_shape.channels channels.

    Raises:
        ValueError: as ResNetDesign.
    """
    design = build_resnet_design(cfg)
    stem = _STEMS[design.variant](input_shape.channels, design.stem_out_channels, design.norm)
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
