"""ResNet and ResNet-D of torchvision and timm, to Detectron2's ResNet.

Both libraries use the same names; timm's resnet*d adds a stem of three convolutions
(conv1.0, conv1.3, conv1.6) and a pooling layer at place 0 of each downsample.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_DROPPED = re.compile(r"fc\.(weight|bias)|.*num_batches_tracked")
_BLOCK = re.compile(r"layer(\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)")
_SHORTCUT = re.compile(r"layer(\d)\.(\d+)\.downsample\.(\d)\.(\w+)")
_DEEP_STEM = {"conv1.0": "conv1", "conv1.3": "conv2", "conv1.6": "conv3"} | {
    "conv1.1": "conv1.norm",
    "conv1.4": "conv2.norm",
    "bn1": "conv3.norm",
}
_PLAIN_STEM = {"conv1": "conv1", "bn1": "conv1.norm"}


def to_detectron2(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file to ours; the file's own names tell plain from deep stem.

    Raises:
        ValueError: a name that such a ResNet does not have.
    """
    names = list(names)
    stem = _DEEP_STEM if "conv1.0.weight" in names else _PLAIN_STEM
    first_shortcut_place = int(any(".downsample.2." in name for name in names))
    return {name: _translate(name, stem, first_shortcut_place) for name in names}


def _translate(name: str, stem: dict[str, str], first_shortcut_place: int) -> str | None:
    if _DROPPED.fullmatch(name):
        return None
    layer, _, field = name.rpartition(".")
    if layer in stem:
        return f"stem.{stem[layer]}.{field}"
    if match := _BLOCK.fullmatch(name):
        stage, block, kind, index, field = match.groups()
        return f"res{int(stage) + 1}.{block}.conv{index}.{'norm.' * (kind == 'bn')}{field}"
    if match := _SHORTCUT.fullmatch(name):
        stage, block, place, field = match.groups()
        norm = "norm." * (int(place) > first_shortcut_place)
        return f"res{int(stage) + 1}.{block}.shortcut.{norm}{field}"
    raise ValueError(f"{name!r} is no parameter of a torchvision or timm ResNet")
