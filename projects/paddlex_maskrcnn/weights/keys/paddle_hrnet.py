"""HRNet of PaddleX 1.3 and PaddlePaddle's ImageNet models, to our HRNet.

Paddle counts stages, modules, branches, blocks and steps from 1, and calls the stem layer1 and the
first stage layer2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .paddle_resnet import NORM_FIELDS

_CLASSIFIER = re.compile(r"(cls_head|fc_).*")
_FIELD = re.compile(r"(.+?)_(?:(weights)|bn_(scale|offset|mean|variance))")


def _zero_based(number: str) -> int:
    return int(number) - 1


def _first_stage(match: re.Match[str]) -> str:
    layer = "shortcut" if match[2] == "downsample" else match[2]
    return f"stage1.{_zero_based(match[1])}.{layer}"


def _branch(match: re.Match[str]) -> str:
    stage, module, branch, block, layer = match.groups()
    place = f"{_zero_based(module)}.branches.{_zero_based(branch)}.{_zero_based(block)}"
    return f"stage{stage}.{place}.{layer}"


def _fuse(match: re.Match[str]) -> str:
    stage, module, target, source, step = match.groups(default="1")
    place = f"{_zero_based(module)}.fuse.{_zero_based(target)}.{_zero_based(source)}"
    return f"stage{stage}.{place}.{_zero_based(step)}"


_LAYERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"layer1_([12])"), lambda match: f"stem.conv{match[1]}"),
    (re.compile(r"layer2_(\d)_(conv\d|downsample)"), _first_stage),
    (re.compile(r"tr1_layer_([12])"), lambda match: f"transition1.{_zero_based(match[1])}"),
    (re.compile(r"tr([23])_layer_[34]"), lambda match: f"transition{match[1]}"),
    (re.compile(r"st(\d)_(\d)_branch_layer_(\d)_(\d)_(conv\d)"), _branch),
    (re.compile(r"st(\d)_(\d)_layer_(\d)_(\d)(?:_(\d))?"), _fuse),
)


def to_detectron2(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file to ours.

    Raises:
        ValueError: a name that HRNet does not have.
    """
    return {name: _translate(name) for name in names}


def _translate(name: str) -> str | None:
    if _CLASSIFIER.fullmatch(name):
        return None
    if match := _FIELD.fullmatch(name):
        layer, is_conv, field = match.groups()
        for pattern, ours in _LAYERS:
            if found := pattern.fullmatch(layer):
                return f"{ours(found)}.{'weight' if is_conv else 'norm.' + NORM_FIELDS[field]}"
    raise ValueError(f"{name!r} is no parameter of a PaddlePaddle HRNet")
