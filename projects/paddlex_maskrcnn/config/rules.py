"""Rules between the parameters of a model: combinations that make no sense, settings without effect."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .schema import FPN_ANCHOR_LEVELS, ModelParams


@dataclass(frozen=True)
class BrokenRule:
    """A key and what is wrong with it beside the others."""

    key: str
    message: str


def broken_rules(model: ModelParams) -> list[BrokenRule]:
    """Every combination of `model` that cannot be built."""
    is_hrnet = model.backbone == "HRNet_W18"
    rules = [
        (
            "anchor_sizes",
            model.with_fpn and len(model.anchor_sizes) != FPN_ANCHOR_LEVELS,
            f"has {len(model.anchor_sizes)} entries; with FPN {FPN_ANCHOR_LEVELS} are needed, one for "
            "each pyramid level P2 to P6, for example [32, 64, 128, 256, 512]",
        ),
        ("anchor_sizes", not model.anchor_sizes, "is []; at least one number is needed"),
        ("aspect_ratios", not model.aspect_ratios, "is []; at least one number is needed"),
        (
            "with_fpn",
            is_hrnet and not model.with_fpn,
            "is false, but HRNet_W18 always has its pyramid; set it to true",
        ),
        (
            "with_dcn",
            is_hrnet and model.with_dcn,
            "is true, but HRNet_W18 has no deformable convolutions; use a ResNet",
        ),
    ]
    return [BrokenRule(key, message) for key, broken, message in rules if broken]


def without_effect(model: ModelParams, given: Collection[str]) -> list[str]:
    """A sentence for each given setting that changes nothing in this combination.

    Args:
        given: names of the parameters the user wrote.
    """
    soft = model.rcnn_nms == "MultiClassSoftNMS"
    decaying = soft or model.rcnn_nms == "MatrixNMS"
    no_focal = model.rpn_cls_loss != "SigmoidFocalLoss"
    no_focal_why = "rpn_cls_loss is not SigmoidFocalLoss"
    idle = {
        "softnms_sigma": (not soft, "rcnn_nms is not MultiClassSoftNMS"),
        "nms_threshold": (decaying, f"{model.rcnn_nms} lowers scores instead of comparing with it"),
        "fpn_num_channels": (not model.with_fpn, "with_fpn is false"),
        "rpn_focal_loss_alpha": (no_focal, no_focal_why),
        "rpn_focal_loss_gamma": (no_focal, no_focal_why),
        "rpn_focal_loss_on": (no_focal, no_focal_why),
    }
    return [
        f"{key} has no effect: {why}" for key, (off, why) in idle.items() if off and key in given
    ]
