"""HRNet of timm (and of the authors' PyTorch code, which timm follows), to our HRNet."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DROPPED = re.compile(
    r"(incre_modules|downsamp_modules|final_layer|classifier)\..*|.*num_batches_tracked"
)
_NORM = {"0": "", "1": "norm."}  # place in a Sequential of convolution and norm

_STEM = re.compile(r"(conv|bn)([12])\.(\w+)")
_BLOCK = re.compile(r"(layer1|stage\d\.\d+\.branches\.\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)")
_SHORTCUT = re.compile(r"layer1\.(\d+)\.downsample\.([01])\.(\w+)")
_FIRST_TRANSITION = re.compile(r"transition1\.(0|1\.0)\.([01])\.(\w+)")
_TRANSITION = re.compile(r"transition([23])\.[23]\.0\.([01])\.(\w+)")
_FUSE_UP = re.compile(r"(stage\d\.\d+)\.fuse_layers\.(\d)\.(\d)\.([01])\.(\w+)")
_FUSE_DOWN = re.compile(r"(stage\d\.\d+)\.fuse_layers\.(\d)\.(\d)\.(\d)\.([01])\.(\w+)")


def to_detectron2(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file to ours.

    Raises:
        ValueError: a name that HRNet does not have.
    """
    return {name: _translate(name) for name in names}


def _translate(name: str) -> str | None:
    if _DROPPED.fullmatch(name):
        return None
    translated = _translate_block(name) or _translate_exchange(name)
    if translated is None:
        raise ValueError(f"{name!r} is no parameter of timm's HRNet")
    return translated


def _translate_block(name: str) -> str | None:
    if match := _STEM.fullmatch(name):
        kind, index, field = match.groups()
        return f"stem.conv{index}.{'norm.' * (kind == 'bn')}{field}"
    if match := _BLOCK.fullmatch(name):
        branch, block, kind, index, field = match.groups()
        branch = "stage1" if branch == "layer1" else branch
        return f"{branch}.{block}.conv{index}.{'norm.' * (kind == 'bn')}{field}"
    if match := _SHORTCUT.fullmatch(name):
        block, place, field = match.groups()
        return f"stage1.{block}.shortcut.{_NORM[place]}{field}"
    return None


def _translate_exchange(name: str) -> str | None:
    if match := _FIRST_TRANSITION.fullmatch(name):
        branch, place, field = match.groups()
        return f"transition1.{branch[0]}.{_NORM[place]}{field}"
    if match := _TRANSITION.fullmatch(name):
        index, place, field = match.groups()
        return f"transition{index}.{_NORM[place]}{field}"
    if match := _FUSE_UP.fullmatch(name):
        module, target, source, place, field = match.groups()
        return f"{module}.fuse.{target}.{source}.0.{_NORM[place]}{field}"
    if match := _FUSE_DOWN.fullmatch(name):
        module, target, source, step, place, field = match.groups()
        return f"{module}.fuse.{target}.{source}.{step}.{_NORM[place]}{field}"
    return None
