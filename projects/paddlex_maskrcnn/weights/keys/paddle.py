"""Models of PaddleX 1.3 and PaddlePaddle's ImageNet models: ResNet, ResNet-D, HRNet and Mask R-CNN.

Heads are named as in Detectron2's StandardROIHeads (with a pyramid) and Res5ROIHeads (without).
Differences of layout, all undone by `convert_paddle`: `affine_channel` has its statistics folded into
scale and offset; fully connected weights are (in, out) where torch has (out, in); PaddleX counts
background as class 0, where Detectron2 has it last among the scores and nowhere else; without a
pyramid it orders anchors by ratio, then size, where Detectron2 has size first.
Source: behaviour notes of PaddleX 1.3, §2.2 (anchor order), §3.3 and §4 (heads); the parameter lists
of twelve networks in tests/weights/paddle_params.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from .backbones import identity_statistics

_NORM_FIELDS = {
    "scale": "weight",
    "offset": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
_FIELDS = {"w": "weight", "b": "bias"}


# Mask R-CNN


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


def convert_paddle(arrays: Mapping[str, NDArray], num_anchor_sizes: int = 1) -> dict[str, NDArray]:
    """A whole model under Detectron2's names and in its layouts.

    Args:
        arrays: by Paddle's names.
        num_anchor_sizes: anchor sizes on one map: 1 with a pyramid, without it all (5 by default).

    Raises:
        ValueError: an unknown name, or anchors that num_anchor_sizes does not divide.
    """
    converted = {
        ours: _adapt(ours, arrays[name], num_anchor_sizes)
        for name, ours in map_paddle(arrays).items()
        if ours is not None
    }
    return converted | identity_statistics(converted)


def map_paddle(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole detector or backbone, with the prefixes they have in a detector.

    Raises:
        ValueError: a name that PaddleX's Mask R-CNN does not have.
    """
    mapped = {name: _outside_backbone(name) for name in names}
    has_pyramid = any(ours and ours.startswith("backbone.") for ours in mapped.values())
    map_backbone = map_paddle_hrnet if "layer1_1_weights" in mapped else map_paddle_resnet
    backbone = map_backbone(name for name, ours in mapped.items() if ours is None)
    for name, ours in backbone.items():
        mapped[name] = ours and _backbone_prefix(ours, has_pyramid) + ours
    return mapped


def _outside_backbone(name: str) -> str | None:
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


def _backbone_prefix(ours: str, has_pyramid: bool) -> str:
    if has_pyramid:
        return "backbone.bottom_up."
    # without a pyramid the last stage computes the features of each region
    return "roi_heads." if ours.startswith("res5.") else "backbone."


def _adapt(ours: str, array: NDArray, num_anchor_sizes: int) -> NDArray:
    if re.search(r"\.(fc\d|cls_score|bbox_pred)\.weight$", ours):
        array = np.ascontiguousarray(array.T)
    if ".cls_score." in ours:
        return move_background_last(array)
    if ".bbox_pred." in ours:  # a slot for the background that no loss ever uses
        return drop_background(array, rows_per_class=4)
    if ".mask_head.predictor." in ours:  # likewise, never trained
        return drop_background(array)
    if ".objectness_logits." in ours:
        return _sizes_before_ratios(array, num_anchor_sizes)
    if ".anchor_deltas." in ours:
        return _sizes_before_ratios(array, num_anchor_sizes, rows_per_anchor=4)
    return array


def move_background_last(rows: NDArray) -> NDArray:
    """Rows of classes 0 (background), 1, … K to the order 1, … K, background."""
    return np.concatenate([rows[1:], rows[:1]])


def drop_background(rows: NDArray, rows_per_class: int = 1) -> NDArray:
    """Rows of all classes without those of class 0, the background."""
    return rows[rows_per_class:]


def _sizes_before_ratios(rows: NDArray, num_sizes: int, rows_per_anchor: int = 1) -> NDArray:
    """Rows per anchor from ratio-major to Detectron2's size-major order."""
    if len(rows) % (num_sizes * rows_per_anchor):
        raise ValueError(
            f"num_anchor_sizes: {num_sizes} does not divide the {len(rows) // rows_per_anchor} "
            "anchors per place of this model"
        )
    by_ratio = rows.reshape(-1, num_sizes, rows_per_anchor, *rows.shape[1:])
    return by_ratio.swapaxes(0, 1).reshape(rows.shape)


# ResNet and ResNet-D


_RESNET_CLASSIFIER = re.compile(r"fc_.*")
_RESNET_LAYERS = {"1": "shortcut", "2a": "conv1", "2b": "conv2", "2c": "conv3"}
_STEM_CONV = re.compile(r"conv1(?:_([123]))?_weights")
_STEM_NORM = re.compile(r"(?:bn_conv1|bnv1_([123]))_(\w+)")
_BLOCK = re.compile(r"(res|bn)([2-5])([a-z])(\d*)_branch(1|2a|2b|2c)_(\w+)")
_OFFSET = re.compile(r"res([2-5])([a-z])(\d*)_branch2b_conv_offset\.([wb])_0")


def map_paddle_resnet(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file.

    PaddleX projects the shortcut of the first basic block too, where Detectron2 has the identity.

    Raises:
        ValueError: a name that such a ResNet does not have.
    """
    return {name: _in_resnet(name) for name in names}


def _in_resnet(name: str) -> str | None:
    if _RESNET_CLASSIFIER.fullmatch(name):
        return None
    ours = _in_stem(name) or _in_block(name)
    if ours is None:
        raise ValueError(f"{name!r} is no parameter of a PaddlePaddle ResNet")
    return ours


def _in_stem(name: str) -> str | None:
    if match := _STEM_CONV.fullmatch(name):
        return f"stem.conv{match[1] or 1}.weight"
    match = _STEM_NORM.fullmatch(name)
    if match and match[2] in _NORM_FIELDS:
        return f"stem.conv{match[1] or 1}.norm.{_NORM_FIELDS[match[2]]}"
    return None


def _in_block(name: str) -> str | None:
    if match := _OFFSET.fullmatch(name):
        stage, letter, number, field = match.groups()
        return f"res{stage}.{_block_index(letter, number)}.conv2_offset.{_FIELDS[field]}"
    match = _BLOCK.fullmatch(name)
    if match is None:
        return None
    kind, stage, letter, number, branch, field = match.groups()
    layer = f"res{stage}.{_block_index(letter, number)}.{_RESNET_LAYERS[branch]}"
    if kind == "res":
        return f"{layer}.weight" if field == "weights" else None
    return f"{layer}.norm.{_NORM_FIELDS[field]}" if field in _NORM_FIELDS else None


def _block_index(letter: str, number: str) -> int:
    """Blocks are a, b, c, … except in stages of 23 and more: a, b1, b2, …"""
    return int(number) if number else ord(letter) - ord("a")


# HRNet. Paddle counts stages, modules, branches, blocks and steps from 1, and calls the stem layer1
# and the first stage layer2.


_HRNET_CLASSIFIER = re.compile(r"(cls_head|fc_).*")
_HRNET_FIELD = re.compile(r"(.+?)_(?:(weights)|bn_(scale|offset|mean|variance))")


def map_paddle_hrnet(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file.

    Raises:
        ValueError: a name that HRNet does not have.
    """
    return {name: _in_hrnet(name) for name in names}


def _in_hrnet(name: str) -> str | None:
    if _HRNET_CLASSIFIER.fullmatch(name):
        return None
    if match := _HRNET_FIELD.fullmatch(name):
        layer, is_conv, field = match.groups()
        for pattern, ours in _HRNET_LAYERS:
            if layer_match := pattern.fullmatch(layer):
                parameter = "weight" if is_conv else f"norm.{_NORM_FIELDS[field]}"
                return f"{ours(layer_match)}.{parameter}"
    raise ValueError(f"{name!r} is no parameter of a PaddlePaddle HRNet")


def _zero_based(number: str) -> int:
    return int(number) - 1


def _first_stage(match: re.Match[str]) -> str:
    layer = "shortcut" if match[2] == "downsample" else match[2]
    return f"stage1.{_zero_based(match[1])}.{layer}"


def _branch(match: re.Match[str]) -> str:
    stage, module, branch, block, layer = match.groups()
    inside = f"{_zero_based(module)}.branches.{_zero_based(branch)}.{_zero_based(block)}"
    return f"stage{stage}.{inside}.{layer}"


def _fuse(match: re.Match[str]) -> str:
    stage, module, target, source, step = match.groups(default="1")
    inside = f"{_zero_based(module)}.fuse.{_zero_based(target)}.{_zero_based(source)}"
    return f"stage{stage}.{inside}.{_zero_based(step)}"


_HRNET_LAYERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"layer1_([12])"), lambda match: f"stem.conv{match[1]}"),
    (re.compile(r"layer2_(\d)_(conv\d|downsample)"), _first_stage),
    (re.compile(r"tr1_layer_([12])"), lambda match: f"transition1.{_zero_based(match[1])}"),
    (re.compile(r"tr([23])_layer_[34]"), lambda match: f"transition{match[1]}"),
    (re.compile(r"st(\d)_(\d)_branch_layer_(\d)_(\d)_(conv\d)"), _branch),
    (re.compile(r"st(\d)_(\d)_layer_(\d)_(\d)(?:_(\d))?"), _fuse),
)
