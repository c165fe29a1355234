"""ResNet and ResNet-D of PaddleX 1.3 and PaddlePaddle's ImageNet models, to Detectron2's ResNet."""

from __future__ import annotations

import re
from collections.abc import Iterable

NORM_FIELDS = {
    "scale": "weight",
    "offset": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
_LAYERS = {"1": "shortcut", "2a": "conv1", "2b": "conv2", "2c": "conv3"}
_OFFSET_FIELDS = {"w": "weight", "b": "bias"}

_CLASSIFIER = re.compile(r"fc_.*")
_STEM_CONV = re.compile(r"conv1(?:_([123]))?_weights")
_STEM_NORM = re.compile(r"(?:bn_conv1|bnv1_([123]))_(\w+)")
_BLOCK = re.compile(r"(res|bn)([2-5])([a-z])(\d*)_branch(1|2a|2b|2c)_(\w+)")
_OFFSET = re.compile(r"res([2-5])([a-z])(\d*)_branch2b_conv_offset\.([wb])_0")


def to_detectron2(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file to ours.

    PaddleX projects the shortcut of the first basic block too, where Detectron2 has the identity.

    Raises:
        ValueError: a name that such a ResNet does not have.
    """
    return {name: _translate(name) for name in names}


def _translate(name: str) -> str | None:
    if _CLASSIFIER.fullmatch(name):
        return None
    translated = _translate_stem(name) or _translate_block(name)
    if translated is None:
        raise ValueError(f"{name!r} is no parameter of a PaddlePaddle ResNet")
    return translated


def _translate_stem(name: str) -> str | None:
    if match := _STEM_CONV.fullmatch(name):
        return f"stem.conv{match[1] or 1}.weight"
    match = _STEM_NORM.fullmatch(name)
    if match and match[2] in NORM_FIELDS:
        return f"stem.conv{match[1] or 1}.norm.{NORM_FIELDS[match[2]]}"
    return None


def _translate_block(name: str) -> str | None:
    if match := _OFFSET.fullmatch(name):
        stage, letter, number, field = match.groups()
        block = _block_index(letter, number)
        return f"res{stage}.{block}.conv2_offset.{_OFFSET_FIELDS[field]}"
    match = _BLOCK.fullmatch(name)
    if match is None:
        return None
    kind, stage, letter, number, branch, field = match.groups()
    layer = f"res{stage}.{_block_index(letter, number)}.{_LAYERS[branch]}"
    if kind == "res":
        return f"{layer}.weight" if field == "weights" else None
    return f"{layer}.norm.{NORM_FIELDS[field]}" if field in NORM_FIELDS else None


def _block_index(letter: str, number: str) -> int:
    """Blocks are a, b, c, … except in stages of 23 and more: a, b1, b2, …"""
    return int(number) if number else ord(letter) - ord("a")
