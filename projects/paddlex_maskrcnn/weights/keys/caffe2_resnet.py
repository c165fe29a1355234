"""ResNet of Detectron's Caffe2 files (ImageNetPretrained/MSRA/R-50.pkl and the like), to Detectron2's.

Names such as `conv1_w`, `res_conv1_bn_s`, `res2_0_branch2a_w`, `res2_0_branch2a_bn_b`. Statistics are
folded into scale and offset, or given as `_bn_rm` and `_bn_riv`; `_gn_s` and `_gn_b` are of group norm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LAYERS = {"1": "shortcut", "2a": "conv1", "2b": "conv2", "2c": "conv3"}
_FIELDS = {
    "w": "weight",
    "bn_s": "norm.weight",
    "bn_b": "norm.bias",
    "bn_rm": "norm.running_mean",
    "bn_riv": "norm.running_var",
    "gn_s": "norm.weight",
    "gn_b": "norm.bias",
}
_STEM = re.compile(r"(?:res_)?conv1_(\w+)")
_BLOCK = re.compile(r"res([2-5])_(\d+)_branch(1|2a|2b|2c)_(\w+)")
# the classifier, a bias that is always zero, and all that Detectron's detectors have behind it
_DROPPED = re.compile(
    r"(pred|fc1000)_[wb]|conv1_b|(fpn_|conv_rpn|rpn_|fc[67]_|cls_score|bbox_pred|head_conv"
    r"|_\[mask\]|conv5_mask|mask_fcn|conv_fcn|kps_).*"
)


def to_detectron2(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file to ours.

    Raises:
        ValueError: a name that such a file does not have.
    """
    return {name: _translate(name) for name in names}


def _translate(name: str) -> str | None:
    if _DROPPED.fullmatch(name):
        return None
    if (match := _STEM.fullmatch(name)) and match[1] in _FIELDS:
        return f"stem.conv1.{_FIELDS[match[1]]}"
    if (match := _BLOCK.fullmatch(name)) and match[4] in _FIELDS:
        stage, block, branch, field = match.groups()
        return f"res{stage}.{block}.{_LAYERS[branch]}.{_FIELDS[field]}"
    raise ValueError(f"{name!r} is no parameter of a Caffe2 ResNet")
