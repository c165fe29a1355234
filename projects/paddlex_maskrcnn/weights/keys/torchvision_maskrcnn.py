"""torchvision's maskrcnn_resnet50_fpn, to a Detectron2 Mask R-CNN: names and layouts.

The two have the same layers. What differs is the order of classes (torchvision: background first, a
slot for it among boxes and masks, and for COCO the 91 category ids of which 80 exist), and the epsilon
of the published weights' batch norms, which is 0. Anchors and region pooling differ too: see
`InputFormat.conventions`. maskrcnn_resnet50_fpn_v2 has other heads and is refused.
Source: torchvision/models/detection/mask_rcnn.py and faster_rcnn.py; the names of files saved before
torchvision 0.13 (the published one is such) are known as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from . import torchvision_resnet
from .folded_norms import NORM_EPSILON
from .paddle_arrays import drop_background, move_background_last

_NUM_COCO_IDS = 91  # ids 0 to 90, 0 for background
# ids of the paper's 91 classes that the data set does not have
_MISSING_COCO_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}

_BODY = "backbone.body."
_HEADS = {
    r"rpn\.head\.conv(?:\.0\.0)?": "proposal_generator.rpn_head.conv",
    r"rpn\.head\.cls_logits": "proposal_generator.rpn_head.objectness_logits",
    r"rpn\.head\.bbox_pred": "proposal_generator.rpn_head.anchor_deltas",
    r"roi_heads\.box_head\.fc6": "roi_heads.box_head.fc1",
    r"roi_heads\.box_head\.fc7": "roi_heads.box_head.fc2",
    r"roi_heads\.(box_predictor\.(?:cls_score|bbox_pred))": r"roi_heads.\1",
    r"roi_heads\.mask_head\.mask_fcn([1-4])": r"roi_heads.mask_head.mask_fcn\1",
    r"roi_heads\.mask_predictor\.conv5_mask": "roi_heads.mask_head.deconv",
    r"roi_heads\.mask_predictor\.mask_fcn_logits": "roi_heads.mask_head.predictor",
}
_FPN = re.compile(r"backbone\.fpn\.(inner|layer)_blocks\.([0-3])(?:\.0)?")
_FPN_LAYERS = {"inner": "lateral", "layer": "output"}
_MASK_LAYER = re.compile(r"roi_heads\.mask_head\.([0-3])\.0")


def to_detectron2(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole model to ours.

    Raises:
        ValueError: a name that this network does not have.
    """
    names = list(names)
    inside = [name.removeprefix(_BODY) for name in names if name.startswith(_BODY)]
    body = torchvision_resnet.to_detectron2(inside)
    mapped: dict[str, str | None] = {}
    for name in names:
        if name.startswith(_BODY):
            ours = body[name.removeprefix(_BODY)]
            mapped[name] = ours and f"backbone.bottom_up.{ours}"
        else:
            mapped[name] = _translate(name)
    return mapped


def convert(arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """A whole model: names, layouts, order of classes, epsilon of the norms.

    Raises:
        ValueError: an unknown name.
    """
    return {
        ours: _adapt(ours, arrays[name])
        for name, ours in to_detectron2(arrays).items()
        if ours is not None
    }


def _translate(name: str) -> str:
    layer, _, field = name.rpartition(".")
    if match := _FPN.fullmatch(layer):
        return f"backbone.fpn_{_FPN_LAYERS[match[1]]}{int(match[2]) + 2}.{field}"
    if match := _MASK_LAYER.fullmatch(layer):
        return f"roi_heads.mask_head.mask_fcn{int(match[1]) + 1}.{field}"
    for pattern, ours in _HEADS.items():
        if match := re.fullmatch(pattern, layer):
            return f"{match.expand(ours)}.{field}"
    raise ValueError(f"{name!r} is no parameter of torchvision's maskrcnn_resnet50_fpn")


def _adapt(ours: str, array: NDArray) -> NDArray:
    if ours.endswith(".running_var"):
        return array - np.float32(NORM_EPSILON)
    if ".cls_score." in ours:
        return move_background_last(_existing_classes(array))
    if ".bbox_pred." in ours:
        return drop_background(_existing_classes(array, 4), rows_per_class=4)
    if ".mask_head.predictor." in ours:
        return drop_background(_existing_classes(array))
    return array


def _existing_classes(rows: NDArray, rows_per_class: int = 1) -> NDArray:
    """Rows of COCO's 91 ids without those that no category has; other numbers of classes as they are."""
    if len(rows) != _NUM_COCO_IDS * rows_per_class:
        return rows
    by_class = rows.reshape(_NUM_COCO_IDS, rows_per_class, *rows.shape[1:])
    kept = [number for number in range(_NUM_COCO_IDS) if number not in _MISSING_COCO_IDS]
    return by_class[kept].reshape(-1, *rows.shape[1:])
