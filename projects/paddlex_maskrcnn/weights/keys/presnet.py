"""ResNet-vd of RT-DETR's `PResNet`, the layout in which Paddle's SSLD weights are published for PyTorch."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BRANCH = {"2a": "1", "2b": "2", "2c": "3"}
_STEM = re.compile(r"conv1\.conv1_([123])\.(conv|norm)\.(\w+)")
_BLOCK = re.compile(r"res_layers\.(\d)\.blocks\.(\d+)\.branch(2[abc])\.(conv|norm)\.(\w+)")
# a stage that halves its map keeps a pool and a convolution in its shortcut, the first only the latter
_SHORTCUT = re.compile(r"res_layers\.(\d)\.blocks\.(\d+)\.short\.(?:conv\.)?(conv|norm)\.(\w+)")


def to_detectron2(names: Iterable[str]) -> dict[str, str | None]:
    """Names of one whole file to ours.

    Raises:
        ValueError: a name that a PResNet does not have.
    """
    return {name: _translate(name) for name in names}


def _translate(name: str) -> str | None:
    if name.endswith("num_batches_tracked"):
        return None
    if match := _STEM.fullmatch(name):
        number, kind, field = match.groups()
        return f"stem.conv{number}.{_norm(kind)}{field}"
    if match := _SHORTCUT.fullmatch(name):
        stage, block, kind, field = match.groups()
        return f"res{int(stage) + 2}.{block}.shortcut.{_norm(kind)}{field}"
    if match := _BLOCK.fullmatch(name):
        stage, block, branch, kind, field = match.groups()
        return f"res{int(stage) + 2}.{block}.conv{_BRANCH[branch]}.{_norm(kind)}{field}"
    raise ValueError(f"{name!r} is no parameter of a PResNet")


def _norm(kind: str) -> str:
    return "norm." if kind == "norm" else ""
