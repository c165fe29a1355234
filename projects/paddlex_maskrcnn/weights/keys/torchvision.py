"""torchvision's ResNets (and timm's, which have the same names) and its maskrcnn_resnet50_fpn.

The detector has the layers of Detectron2's. What differs is the order of classes (torchvision:
background first, a slot for it among boxes and masks, and for COCO the 91 category ids of which 80
exist), and the epsilon of the published weights' batch norms, which is 0. Anchors and region pooling
differ too: see `InputFormat.conventions`. maskrcnn_resnet50_fpn_v2 has other heads and is refused.
Source: torchvision/models/resnet.py, detection/mask_rcnn.py and faster_rcnn.py; timm/models/resnet.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from .backbones import NORM_EPSILON
from .paddle import drop_background, move_background_last

# ResNet


_RESNET_DROPPED = re.compile(r"fc\.(weight|bias)|.*num_batches_tracked")
_BLOCK = re.compile(r"layer(\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)")
_SHORTCUT = re.compile(r"layer(\d)\.(\d+)\.downsample\.(\d)\.(\w+)")
_PLAIN_STEM = {"conv1": "conv1", "bn1": "conv1.norm"}
# timm's resnet*d: a Sequential of three convolutions, their norms and ReLUs between
_DEEP_STEM = {"conv1.0": "conv1", "conv1.3": "conv2", "conv1.6": "conv3"} | {
    "conv1.1": "conv1.norm",
    "conv1.4": "conv2.norm",
    "bn1": "conv3.norm",
}


def map_torchvision_resnet(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file; the file's own names tell plain from deep stem.

    Raises:
        ValueError: a name that such a ResNet does not have.
    """
    names = list(names)
    stem = _DEEP_STEM if "conv1.0.weight" in names else _PLAIN_STEM
    # timm's resnet*d begins each downsample with a pooling layer, so that the norm has index 2
    conv_index = int(any(".downsample.2." in name for name in names))
    return {name: _in_resnet(name, stem, conv_index) for name in names}


def _in_resnet(name: str, stem: dict[str, str], conv_index: int) -> str | None:
    if _RESNET_DROPPED.fullmatch(name):
        return None
    layer, _, field = name.rpartition(".")
    if layer in stem:
        return f"stem.{stem[layer]}.{field}"
    if match := _BLOCK.fullmatch(name):
        stage, block, kind, index, field = match.groups()
        return f"res{int(stage) + 1}.{block}.conv{index}.{'norm.' * (kind == 'bn')}{field}"
    if match := _SHORTCUT.fullmatch(name):
        stage, block, index, field = match.groups()
        norm = "norm." * (int(index) > conv_index)
        return f"res{int(stage) + 1}.{block}.shortcut.{norm}{field}"
    raise ValueError(f"{name!r} is no parameter of a torchvision or timm ResNet")


# Mask R-CNN


_NUM_COCO_IDS = 91  # ids 0 to 90, 0 for background
# ids of the paper's 91 classes that the data set does not have
_MISSING_COCO_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}

_BODY = "backbone.body."
# the longer names are those since torchvision 0.13; the published file was saved before
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


def convert_torchvision_maskrcnn(arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """A whole model: names, layouts, order of classes, epsilon of the norms.

    Raises:
        ValueError: an unknown name.
    """
    return {
        ours: _adapt(ours, arrays[name])
        for name, ours in map_torchvision_maskrcnn(arrays).items()
        if ours is not None
    }


def map_torchvision_maskrcnn(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole model.

    Raises:
        ValueError: a name that this network does not have.
    """
    names = list(names)
    inside = [name.removeprefix(_BODY) for name in names if name.startswith(_BODY)]
    body = map_torchvision_resnet(inside)
    mapped: dict[str, str | None] = {}
    for name in names:
        if name.startswith(_BODY):
            ours = body[name.removeprefix(_BODY)]
            mapped[name] = ours and f"backbone.bottom_up.{ours}"
        else:
            mapped[name] = _outside_body(name)
    return mapped


def _outside_body(name: str) -> str:
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
        # with Detectron2's epsilon added again it is the published variance
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
    ids = [number for number in range(_NUM_COCO_IDS) if number not in _MISSING_COCO_IDS]
    return by_class[ids].reshape(-1, *rows.shape[1:])
