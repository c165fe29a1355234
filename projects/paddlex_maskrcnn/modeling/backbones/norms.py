"""The normalisations a backbone may have.

FrozenBN, BN, SyncBN (GPU only) and naiveSyncBN (any device) are Detectron2's. So is GN
(https://arxiv.org/abs/1803.08494) with its 32 groups, except in networks whose widths 32 does not divide.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

NORMS = ("FrozenBN", "BN", "SyncBN", "naiveSyncBN", "GN")


def check_norm(key: str, norm: str) -> None:
    """Refuse a normalisation we do not offer.

    Raises:
        ValueError: norm is none of NORMS; names the cfg key.
    """
    if norm not in NORMS:
        raise ValueError(f"{key}: {norm!r} is not allowed; choose one of {', '.join(NORMS)}")


def norm_for_any_width(norm: str) -> str | Callable[[int], nn.Module]:
    """The norm in the form Detectron2's `get_norm` takes, for layers of 18, 36, 72, … channels.

    GN gets gcd(32, channels) groups, which is Detectron2's 32 wherever that is possible.
    """
    return _group_norm if norm == "GN" else norm


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(math.gcd(32, channels), channels)
