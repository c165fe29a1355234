"""The one place that knows both vocabularies: parameters of the schema to keys of Detectron2's cfg.

Parameters with a `to` are copied; what depends on several parameters is derived by one function a topic.
Detectron2's keys are written through `merge_from_list`, which refuses unknown keys and wrong types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from detectron2.config import CfgNode, get_cfg

from .params import param_of
from .schema import ModelParams

# PaddleX's constants that no parameter exposes (behaviour notes 1.1, 2.5, 3.4); both are Smooth-L1 beta.
RPN_SMOOTH_L1_BETA = 1 / 9
ROI_SMOOTH_L1_BETA = 1.0
CROWD_THRESH = 0.7  # Detectron's TRAIN.CROWD_FILTER_THRESH

CIOU_LOSS_WEIGHT = 10.0

# backbone -> (depth, variant: b is the plain network, d has a deep stem and pooled shortcuts)
_RESNETS = {
    "ResNet18": (18, "b"),
    "ResNet50": (50, "b"),
    "ResNet50_vd": (50, "d"),
    "ResNet50_vd_ssld": (50, "d"),
    "ResNet101": (101, "b"),
    "ResNet101_vd": (101, "d"),
}

_ANCHOR_GENERATORS = {
    "torchvision": "TorchvisionAnchorGenerator",
    "paddlex": "PaddleXAnchorGenerator",
}


@dataclass(frozen=True)
class BuildFacts:
    """What the network depends on besides the user's settings.

    Attributes:
        num_classes: foreground classes of the data.
        channel_order: RGB or BGR, as the weights were trained.
        pixel_mean, pixel_std: per channel in that order, in units of pixel values.
        stride_in_1x1: where the weights' bottlenecks have their stride.
        pretrained: whether weights will be loaded, so that statistics may be frozen.
        conventions: whose anchors, region pooling and details the network has: detectron2, torchvision
            or paddlex.
        device: where it will run, cpu or cuda.
    """

    num_classes: int
    channel_order: str
    pixel_mean: Sequence[float]
    pixel_std: Sequence[float]
    stride_in_1x1: bool = False
    pretrained: bool = True
    conventions: str = "detectron2"
    device: str = "cpu"


def translate(model: ModelParams, facts: BuildFacts) -> CfgNode:
    """The frozen Detectron2 cfg of a network."""
    cfg = get_cfg()
    add_paddlex_keys(cfg)
    _copy_direct(model, cfg)
    for derive in (
        _classes,
        _input,
        _backbone,
        _heads,
        _anchors,
        _conventions,
        _proposals,
        _losses,
    ):
        for key, value in derive(model, facts).items():
            _set(cfg, key, value)
    _set(cfg, "MODEL.DEVICE", facts.device)
    cfg.freeze()
    return cfg


def add_paddlex_keys(cfg: CfgNode) -> None:
    """Declare our keys; placeholders, since the schema always writes them."""
    cfg.MODEL.RPN.FOCAL_ALPHA = None
    cfg.MODEL.RPN.FOCAL_GAMMA = 0.0
    cfg.MODEL.RPN.FOCAL_ON = ""
    cfg.MODEL.ROI_HEADS.SAMPLER = ""
    cfg.MODEL.ROI_HEADS.NMS = ""
    cfg.MODEL.ROI_HEADS.SOFT_NMS_SIGMA = 0.0
    cfg.MODEL.ROI_HEADS.CROWD_THRESH = 0.0
    cfg.MODEL.RESNETS.VARIANT = ""
    cfg.MODEL.BACKBONE.GRADIENT_CHECKPOINTING = False
    cfg.MODEL.RESNETS.PROJECT_RES2 = False
    cfg.MODEL.ROI_HEADS.INCLUSIVE_BOXES = False
    cfg.MODEL.HRNET = CfgNode({"NORM": "", "ALIGN_CORNERS": False})


def _copy_direct(model: ModelParams, cfg: CfgNode) -> None:
    for this in fields(model):
        param, value = param_of(this), getattr(model, this.name)
        if param.to:
            _set(cfg, param.to, param.values[value] if param.values else value)


def _set(cfg: CfgNode, key: str, value: Any) -> None:
    cfg.merge_from_list([key, value])


def _classes(model: ModelParams, facts: BuildFacts) -> dict[str, Any]:
    return {"MODEL.ROI_HEADS.NUM_CLASSES": facts.num_classes}


def _input(model: ModelParams, facts: BuildFacts) -> dict[str, Any]:
    return {
        "INPUT.FORMAT": facts.channel_order,
        "MODEL.PIXEL_MEAN": [float(mean) for mean in facts.pixel_mean],
        "MODEL.PIXEL_STD": [float(std) for std in facts.pixel_std],
        "MODEL.META_ARCHITECTURE": "PaddedRCNN",
        "MODEL.MASK_ON": True,
    }


def _backbone(model: ModelParams, facts: BuildFacts) -> dict[str, Any]:
    # statistics of a few images are worse than pretrained ones; without those none can be frozen
    norm = {"auto": "FrozenBN" if facts.pretrained else "BN"}.get(model.norm, model.norm)
    if norm == "SyncBN" and facts.device == "cpu":
        norm = "naiveSyncBN"  # torch's own needs a GPU; the parameters are the same
    is_hrnet = model.backbone == "HRNet_W18"
    freeze_at = 2 if facts.pretrained and not is_hrnet else 0
    if model.freeze_at is not None:
        freeze_at = model.freeze_at
    shared = {"MODEL.BACKBONE.FREEZE_AT": freeze_at}
    if is_hrnet:
        return shared | {
            "MODEL.BACKBONE.NAME": "build_hrnet_hrfpn_backbone",
            "MODEL.HRNET.NORM": norm,
        }
    return shared | {"MODEL.RESNETS.NORM": norm} | _resnet(model, facts)


def _resnet(model: ModelParams, facts: BuildFacts) -> dict[str, Any]:
    depth, variant = _RESNETS[model.backbone]
    stages = ["res2", "res3", "res4", "res5"] if model.with_fpn else ["res4"]
    projects = depth == 18 and facts.conventions == "paddlex"
    ours = variant == "d" or model.with_dcn or model.gradient_checkpointing or projects
    kind = ("_variant" if ours else "") + ("_fpn" if model.with_fpn else "")
    return {
        "MODEL.BACKBONE.NAME": f"build_resnet{kind}_backbone",
        "MODEL.RESNETS.DEPTH": depth,
        "MODEL.RESNETS.VARIANT": variant,
        "MODEL.RESNETS.PROJECT_RES2": projects,
        "MODEL.RESNETS.STRIDE_IN_1X1": facts.stride_in_1x1,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 64 if depth == 18 else 256,
        "MODEL.RESNETS.OUT_FEATURES": stages,
        # never in res2; without FPN res5 belongs to the region head
        "MODEL.RESNETS.DEFORM_ON_PER_STAGE": [
            False,
            *[model.with_dcn] * 2,
            model.with_dcn and model.with_fpn,
        ],
        "MODEL.RESNETS.DEFORM_MODULATED": True,
        "MODEL.FPN.IN_FEATURES": stages if model.with_fpn else [],
    }


def _heads(model: ModelParams, facts: BuildFacts) -> dict[str, Any]:
    shared = {
        "MODEL.ROI_HEADS.CROWD_THRESH": CROWD_THRESH,
        "MODEL.ROI_MASK_HEAD.NAME": "PaddleXMaskHead",
    }
    if not model.with_fpn:
        return shared | {
            "MODEL.ROI_HEADS.NAME": "PaddleXRes5ROIHeads",
            "MODEL.ROI_HEADS.IN_FEATURES": ["res4"],
            "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 14,
            "MODEL.ROI_MASK_HEAD.NUM_CONV": 0,
            "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 14,
        }
    return shared | {
        "MODEL.ROI_HEADS.NAME": "PaddleXROIHeads",
        "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
        "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
        "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
        "MODEL.ROI_MASK_HEAD.NUM_CONV": 4,
        "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 14,
    }


def _anchors(model: ModelParams, facts: BuildFacts) -> dict[str, Any]:
    sizes = [[size] for size in model.anchor_sizes] if model.with_fpn else [model.anchor_sizes]
    return {
        "MODEL.ANCHOR_GENERATOR.SIZES": sizes,
        "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [list(model.aspect_ratios)],
    }


def _conventions(model: ModelParams, facts: BuildFacts) -> dict[str, Any]:
    """How foreign detectors place anchors and pool regions (behaviour notes 1.5, 2.2, 3.3)."""
    if facts.conventions == "detectron2":
        return {}
    paddlex = facts.conventions == "paddlex"
    # points a bin and side; 0: as many as the region has pixels in a bin
    sampling = 2 if model.with_fpn else 0
    return {
        "MODEL.ANCHOR_GENERATOR.NAME": _ANCHOR_GENERATORS[facts.conventions],
        "MODEL.ANCHOR_GENERATOR.OFFSET": 0.5 if paddlex else 0.0,
        "MODEL.ROI_HEADS.INCLUSIVE_BOXES": paddlex,
        "MODEL.HRNET.ALIGN_CORNERS": paddlex,
        "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign",
        "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": sampling,
        "MODEL.ROI_MASK_HEAD.POOLER_TYPE": "ROIAlign",
        "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO": sampling,
    }


def _proposals(model: ModelParams, facts: BuildFacts) -> dict[str, Any]:
    fpn = model.with_fpn
    return {
        "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"] if fpn else ["res4"],
        "MODEL.RPN.PRE_NMS_TOPK_TRAIN": model.train_pre_nms_top_n or (2000 if fpn else 12000),
        "MODEL.RPN.PRE_NMS_TOPK_TEST": model.test_pre_nms_top_n or (1000 if fpn else 6000),
    }


def _losses(model: ModelParams, facts: BuildFacts) -> dict[str, Any]:
    weight = CIOU_LOSS_WEIGHT if model.rcnn_bbox_loss == "CIoULoss" else 1.0
    return {
        "MODEL.RPN.SMOOTH_L1_BETA": RPN_SMOOTH_L1_BETA,
        "MODEL.RPN.FOCAL_ALPHA": model.rpn_focal_loss_alpha,
        "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA": ROI_SMOOTH_L1_BETA,
        "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT": weight,
    }
