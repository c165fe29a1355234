"""Published backbones: timm's HRNet, Detectron's Caffe2 ResNets, RT-DETR's PResNet.

Source: timm/models/hrnet.py, which follows the authors' code; Detectron2's own renaming,
checkpoint/c2_model_loading.py; PResNet of RT-DETR's PyTorch code, the layout in which Paddle's SSLD
weights are published for PyTorch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

NORM_EPSILON = 1e-5  # of Detectron2's and PaddlePaddle's batch norms


def identity_statistics(arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Statistics for norms whose publisher folded them into scale and offset.

    Mean 0 and variance 1 - epsilon leave the affine part alone.

    Args:
        arrays: by Detectron2's names.
    """
    added: dict[str, NDArray] = {}
    for name, scale in arrays.items():
        norm, _, field = name.rpartition(".norm.")
        if field == "weight" and f"{norm}.norm.running_var" not in arrays:
            added[f"{norm}.norm.running_mean"] = np.zeros_like(scale)
            added[f"{norm}.norm.running_var"] = np.full_like(scale, 1 - NORM_EPSILON)
    return added


# timm's HRNet


_HRNET_DROPPED = re.compile(
    r"(incre_modules|downsamp_modules|final_layer|classifier)\..*|.*num_batches_tracked"
)
_IN_SEQUENTIAL = {"0": "", "1": "norm."}  # convolution and norm
_HRNET_STEM = re.compile(r"(conv|bn)([12])\.(\w+)")
_HRNET_BLOCK = re.compile(r"(layer1|stage\d\.\d+\.branches\.\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)")
_HRNET_SHORTCUT = re.compile(r"layer1\.(\d+)\.downsample\.([01])\.(\w+)")
_FIRST_TRANSITION = re.compile(r"transition1\.(0|1\.0)\.([01])\.(\w+)")
_TRANSITION = re.compile(r"transition([23])\.[23]\.0\.([01])\.(\w+)")
_FUSE_UP = re.compile(r"(stage\d\.\d+)\.fuse_layers\.(\d)\.(\d)\.([01])\.(\w+)")
_FUSE_DOWN = re.compile(r"(stage\d\.\d+)\.fuse_layers\.(\d)\.(\d)\.(\d)\.([01])\.(\w+)")


def map_timm_hrnet(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file.

    Raises:
        ValueError: a name that HRNet does not have.
    """
    return {name: _in_hrnet(name) for name in names}


def _in_hrnet(name: str) -> str | None:
    if _HRNET_DROPPED.fullmatch(name):
        return None
    ours = _in_hrnet_block(name) or _between_hrnet_branches(name)
    if ours is None:
        raise ValueError(f"{name!r} is no parameter of timm's HRNet")
    return ours


def _in_hrnet_block(name: str) -> str | None:
    if match := _HRNET_STEM.fullmatch(name):
        kind, index, field = match.groups()
        return f"stem.conv{index}.{'norm.' * (kind == 'bn')}{field}"
    if match := _HRNET_BLOCK.fullmatch(name):
        branch, block, kind, index, field = match.groups()
        branch = "stage1" if branch == "layer1" else branch
        return f"{branch}.{block}.conv{index}.{'norm.' * (kind == 'bn')}{field}"
    if match := _HRNET_SHORTCUT.fullmatch(name):
        block, index, field = match.groups()
        return f"stage1.{block}.shortcut.{_IN_SEQUENTIAL[index]}{field}"
    return None


def _between_hrnet_branches(name: str) -> str | None:
    if match := _FIRST_TRANSITION.fullmatch(name):
        branch, index, field = match.groups()
        return f"transition1.{branch[0]}.{_IN_SEQUENTIAL[index]}{field}"
    if match := _TRANSITION.fullmatch(name):
        stage, index, field = match.groups()
        return f"transition{stage}.{_IN_SEQUENTIAL[index]}{field}"
    if match := _FUSE_UP.fullmatch(name):
        module, target, source, index, field = match.groups()
        return f"{module}.fuse.{target}.{source}.0.{_IN_SEQUENTIAL[index]}{field}"
    if match := _FUSE_DOWN.fullmatch(name):
        module, target, source, step, index, field = match.groups()
        return f"{module}.fuse.{target}.{source}.{step}.{_IN_SEQUENTIAL[index]}{field}"
    return None


# Detectron's Caffe2 ResNets (ImageNetPretrained/MSRA/R-50.pkl and the like). Statistics are folded into
# scale and offset, or given as `_bn_rm` and `_bn_riv`; `_gn_s` and `_gn_b` are of group norm.


_CAFFE2_LAYERS = {"1": "shortcut", "2a": "conv1", "2b": "conv2", "2c": "conv3"}
_CAFFE2_FIELDS = {
    "w": "weight",
    "bn_s": "norm.weight",
    "bn_b": "norm.bias",
    "bn_rm": "norm.running_mean",
    "bn_riv": "norm.running_var",
    "gn_s": "norm.weight",
    "gn_b": "norm.bias",
}
_CAFFE2_STEM = re.compile(r"(?:res_)?conv1_(\w+)")
_CAFFE2_BLOCK = re.compile(r"res([2-5])_(\d+)_branch(1|2a|2b|2c)_(\w+)")
# the classifier, a bias that is always zero, and all that Detectron's detectors have behind it
_CAFFE2_DROPPED = re.compile(
    r"(pred|fc1000)_[wb]|conv1_b|(fpn_|conv_rpn|rpn_|fc[67]_|cls_score|bbox_pred|head_conv"
    r"|_\[mask\]|conv5_mask|mask_fcn|conv_fcn|kps_).*"
)


def map_caffe2_resnet(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file.

    Raises:
        ValueError: a name that such a file does not have.
    """
    return {name: _in_caffe2_resnet(name) for name in names}


def _in_caffe2_resnet(name: str) -> str | None:
    if _CAFFE2_DROPPED.fullmatch(name):
        return None
    if (match := _CAFFE2_STEM.fullmatch(name)) and match[1] in _CAFFE2_FIELDS:
        return f"stem.conv1.{_CAFFE2_FIELDS[match[1]]}"
    if (match := _CAFFE2_BLOCK.fullmatch(name)) and match[4] in _CAFFE2_FIELDS:
        stage, block, branch, field = match.groups()
        return f"res{stage}.{block}.{_CAFFE2_LAYERS[branch]}.{_CAFFE2_FIELDS[field]}"
    raise ValueError(f"{name!r} is no parameter of a Caffe2 ResNet")


# RT-DETR's PResNet


_PRESNET_BRANCH = {"2a": "1", "2b": "2", "2c": "3"}
_PRESNET_STEM = re.compile(r"conv1\.conv1_([123])\.(conv|norm)\.(\w+)")
_PRESNET_BLOCK = re.compile(r"res_layers\.(\d)\.blocks\.(\d+)\.branch(2[abc])\.(conv|norm)\.(\w+)")
# a stage that halves its map has a pool and a convolution in its shortcut, the first only the latter
_PRESNET_SHORTCUT = re.compile(
    r"res_layers\.(\d)\.blocks\.(\d+)\.short\.(?:conv\.)?(conv|norm)\.(\w+)"
)


def map_presnet(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file.

    Raises:
        ValueError: a name that a PResNet does not have.
    """
    return {name: _in_presnet(name) for name in names}


def _in_presnet(name: str) -> str | None:
    if name.endswith("num_batches_tracked"):
        return None
    if match := _PRESNET_STEM.fullmatch(name):
        number, kind, field = match.groups()
        return f"stem.conv{number}.{'norm.' * (kind == 'norm')}{field}"
    if match := _PRESNET_SHORTCUT.fullmatch(name):
        stage, block, kind, field = match.groups()
        return f"res{int(stage) + 2}.{block}.shortcut.{'norm.' * (kind == 'norm')}{field}"
    if match := _PRESNET_BLOCK.fullmatch(name):
        stage, block, branch, kind, field = match.groups()
        layer = f"conv{_PRESNET_BRANCH[branch]}"
        return f"res{int(stage) + 2}.{block}.{layer}.{'norm.' * (kind == 'norm')}{field}"
    raise ValueError(f"{name!r} is no parameter of a PResNet")
