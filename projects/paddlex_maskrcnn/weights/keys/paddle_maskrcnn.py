"""Mask R-CNN of PaddleX 1.3, to a Detectron2 Mask R-CNN with our backbones.

Heads are named as in Detectron2's StandardROIHeads (with a pyramid) and Res5ROIHeads (without).
What the two networks do not share is the list KNOWN_DIFFERENCES. The arrays need a change of layout
as well: `paddle_arrays.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from . import paddle_hrnet, paddle_resnet


@dataclass(frozen=True)
class Difference:
    """Something one network has and the other has not, or both have in another layout.

    Attributes:
        side: paddle or detectron2, whichever alone has the name; layout when both have it.
        pattern: regular expression for the whole name on that side (for layout: ours).
        reason: one sentence for the user.
    """

    side: str
    pattern: str
    reason: str

    def covers(self, name: str) -> bool:
        return re.fullmatch(self.pattern, name) is not None


KNOWN_DIFFERENCES = (
    Difference(
        "detectron2",
        r".*\.norm\.running_(mean|var)",
        "affine_channel: the statistics are folded into scale and offset, so they become 0 and 1.",
    ),
    Difference(
        "layout",
        r"roi_heads\.box_head\.fc[12]\.weight",
        "Paddle stores fully connected weights as (in, out), torch as (out, in).",
    ),
    Difference(
        "layout",
        r"roi_heads\.box_predictor\.cls_score\.(weight|bias)",
        "PaddleX has the background first, Detectron2 last; and (in, out) as above.",
    ),
    Difference(
        "layout",
        r"roi_heads\.box_predictor\.bbox_pred\.(weight|bias)",
        "PaddleX has an unused box regression slot for the background; and (in, out) as above.",
    ),
    Difference(
        "layout",
        r"roi_heads\.mask_head\.predictor\.(weight|bias)",
        "PaddleX has a never trained mask channel for the background.",
    ),
    Difference(
        "layout",
        r"proposal_generator\.rpn_head\.(objectness_logits|anchor_deltas)\.(weight|bias)",
        "Without a pyramid PaddleX orders anchors by ratio, then size; Detectron2 by size first.",
    ),
)

_FIELDS = {"w": "weight", "b": "bias"}
_HEADS = {
    r"conv_rpn(?:_fpn2)?": "proposal_generator.rpn_head.conv",
    r"rpn_cls_logits(?:_fpn2)?": "proposal_generator.rpn_head.objectness_logits",
    r"rpn_bbox_pred(?:_fpn2)?": "proposal_generator.rpn_head.anchor_deltas",
    r"fc6": "roi_heads.box_head.fc1",
    r"fc7": "roi_heads.box_head.fc2",
    r"cls_score": "roi_heads.box_predictor.cls_score",
    r"bbox_pred": "roi_heads.box_predictor.bbox_pred",
    r"mask_inter_feat_(\d)": r"roi_heads.mask_head.mask_fcn\1",
    r"conv5_mask": "roi_heads.mask_head.deconv",
    r"mask_fcn_logits": "roi_heads.mask_head.predictor",
    r"fpn_inner_res(\d)_sum(?:_lateral)?": r"backbone.fpn_lateral\1",
    r"fpn_res(\d)_sum": r"backbone.fpn_output\1",
}
_HRFPN_OUTPUT = re.compile(r"shared_fpn_conv_(\d)_weights")


def to_detectron2(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole model to ours, prefixes included.

    Raises:
        ValueError: a name that PaddleX's Mask R-CNN does not have.
    """
    mapped = {name: _translate_outside_backbone(name) for name in names}
    rest = [name for name, ours in mapped.items() if ours is None]
    backbone = paddle_hrnet if "layer1_1_weights" in mapped else paddle_resnet
    has_pyramid = any(ours and ours.startswith("backbone.") for ours in mapped.values())
    for name, ours in backbone.to_detectron2(rest).items():
        mapped[name] = ours and _prefix(ours, has_pyramid) + ours
    return mapped


def _translate_outside_backbone(name: str) -> str | None:
    if name == "hrfpn_reduction_weights":
        return "backbone.reduction.weight"
    if match := _HRFPN_OUTPUT.fullmatch(name):
        return f"backbone.fpn_output{int(match[1]) + 2}.weight"
    layer, _, field = name.rpartition("_")
    if field not in _FIELDS:
        return None
    for pattern, ours in _HEADS.items():
        if match := re.fullmatch(pattern, layer):
            return f"{match.expand(ours)}.{_FIELDS[field]}"
    return None


def _prefix(ours: str, has_pyramid: bool) -> str:
    if has_pyramid:
        return "backbone.bottom_up."
    return "roi_heads." if ours.startswith("res5.") else "backbone."
