"""Weights into a network: what matched, what did not, and never half a backbone in silence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from .source import WeightSource

_BACKBONE_PREFIXES = ("backbone.bottom_up.", "backbone.", "roi_heads.")
_STAGES = ("stem.", "res", "stage", "transition")  # how the names inside a backbone begin


@dataclass
class LoadReport:
    """Names of parameters by what happened to them.

    Attributes:
        matched: loaded as they are.
        adapted: loaded after a change of shape that keeps their meaning.
        skipped: in both, of different shape: they start at random.
        missing: in the network only: they start at random.
        unused: in the source only.
    """

    matched: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = (f"{len(names)} {kind}" for kind, names in vars(self).items())
        return ", ".join(counts)


def load_weights(network: nn.Module, source: WeightSource) -> LoadReport:
    """Copy the source's tensors into the network.

    Raises:
        ValueError: when a part of the backbone finds no weights.
    """
    target = network.state_dict()
    report, loaded = LoadReport(), {}
    for name, value in source.state.items():
        key = _place(name, target)
        if key is None:
            report.unused.append(name)
        elif target[key].shape == value.shape:
            loaded[key] = value
            report.matched.append(key)
        elif _is_stem(key):
            loaded[key] = adapt_stem(value, target[key].shape[1])
            report.adapted.append(key)
        else:
            report.skipped.append(key)
    report.missing = [key for key in target if key not in loaded and key not in report.skipped]
    _refuse_half_a_backbone(report, source.name)
    network.load_state_dict({**target, **loaded})
    return report


def adapt_stem(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """First convolution's weights (O, C, k, k) for another number of input channels.

    One channel gets their sum (a grey image then gives the response it had as RGB); more get the
    channels in turn, rescaled to the same total.
    """
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeats = -(-channels // weight.shape[1])
    return weight.repeat(1, repeats, 1, 1)[:, :channels] * (weight.shape[1] / channels)


def _place(name: str, target: Iterable[str]) -> str | None:
    """Where a source's name lives in the network: as it is, or inside the backbone or C4 head."""
    if name in target:
        return name
    if name.startswith(_STAGES):
        for prefix in _BACKBONE_PREFIXES:
            if prefix + name in target:
                return prefix + name
    return None


def _is_stem(key: str) -> bool:
    return key.endswith("stem.conv1.weight")


def _is_backbone(key: str) -> bool:
    inside = any(
        key.startswith(prefix) and key[len(prefix) :].startswith(_STAGES)
        for prefix in _BACKBONE_PREFIXES
    )
    return inside and not key.endswith("num_batches_tracked") and "conv2_offset" not in key


def _refuse_half_a_backbone(report: LoadReport, name: str) -> None:
    lacking = [key for key in [*report.missing, *report.skipped] if _is_backbone(key)]
    if lacking:
        more = f" and {len(lacking) - 4} more" if len(lacking) > 4 else ""
        raise ValueError(
            f"{name} does not fit the backbone: no weights for {', '.join(lacking[:4])}{more}; "
            "is it of another network?"
        )
