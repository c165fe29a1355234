"""Weights into a network: what matched, what did not, and never half a backbone in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from .input_format import InputFormat

# Where detectors keep their backbone: with pyramid, without, and the last stage without.
_BACKBONE_PREFIXES = ("backbone.bottom_up.", "backbone.", "roi_heads.")
_STAGES = ("stem.", "res", "stage", "transition")  # how the names inside a backbone begin
_BLOCK = re.compile(r"res[2-5]\.\d+\.")
_MOST_SHOWN = 3


@dataclass(frozen=True)
class WeightSource:
    """Weights that can be loaded into a network.

    Attributes:
        name: for messages: the path, or the catalogue's name.
        state: Detectron2's parameter names -> tensors; a bare backbone's begin at `stem.`.
        input_format: how images must look for them.
    """

    name: str
    state: dict[str, torch.Tensor]
    input_format: InputFormat


@dataclass
class LoadReport:
    """Names of parameters by what happened to them.

    Attributes:
        matched: loaded as they are.
        adapted: loaded after a change of shape that keeps their meaning.
        skipped: in both, of different shape (other classes, for instance): they start at random.
        missing: in the network only: they start at random.
        unused: in the source only.
    """

    matched: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Counts of all kinds, and the layers that were not loaded."""
        counts = []
        for kind, names in vars(self).items():
            shown = f" ({_layers(names)})" if names and kind not in ("matched", "unused") else ""
            counts.append(f"{len(names)} {kind}{shown}")
        return ", ".join(counts)


def load_weights(network: nn.Module, source: WeightSource) -> LoadReport:
    """Copy the source's tensors into the network.

    Raises:
        ValueError: when a part of the backbone finds no weights.
    """
    report, loaded = _match(network, source)
    target = network.state_dict()
    _refuse_half_a_backbone(report, target, source.name)
    network.load_state_dict({**target, **loaded})
    return report


def load_all_weights(network: nn.Module, source: WeightSource) -> LoadReport:
    """Copy the source's tensors into a network that must be the very same.

    Raises:
        ValueError: when anything of either is left over.
    """
    report, loaded = _match(network, source)
    left = {"that do not fit": [*report.adapted, *report.skipped]}
    left |= {"that the network lacks": report.unused, "that are missing": report.missing}
    problems = [f"{len(names)} {what} ({_layers(names)})" for what, names in left.items() if names]
    if problems:
        raise ValueError(f"{source.name} is not the network it should be: {'; '.join(problems)}")
    network.load_state_dict(loaded)
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


def _match(network: nn.Module, source: WeightSource) -> tuple[LoadReport, dict[str, torch.Tensor]]:
    target = network.state_dict()
    report, loaded = LoadReport(), {}
    for name, value in source.state.items():
        key = _key_in(target, name)
        if key is None:
            report.unused.append(name)
        elif target[key].shape == value.shape:
            loaded[key] = value
            report.matched.append(key)
        elif key.endswith("stem.conv1.weight"):
            loaded[key] = adapt_stem(value, target[key].shape[1])
            report.adapted.append(key)
        else:
            report.skipped.append(key)
    # counters of batch norms are no weights: a file without them is complete
    left = [key for key in target if key not in loaded and key not in report.skipped]
    report.missing = [key for key in left if not key.endswith("num_batches_tracked")]
    return report, loaded


def _key_in(target: Iterable[str], name: str) -> str | None:
    """Where a source's name lives in the network: as it is, or where this detector's backbone is."""
    if name in target:
        return name
    bare = _inside_backbone(name)
    if bare.startswith(_STAGES):
        for prefix in _BACKBONE_PREFIXES:
            if prefix + bare in target:
                return prefix + bare
    return None


def _inside_backbone(name: str) -> str:
    """The name without a detector's prefix for its backbone."""
    for prefix in _BACKBONE_PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _is_backbone(key: str) -> bool:
    inside = _inside_backbone(key)
    # ImageNet weights have no offsets of deformable convolutions: these start anew
    return inside != key and inside.startswith(_STAGES) and "conv2_offset" not in key


def _is_in_shared_block(name: str, network: Iterable[str]) -> bool:
    """Whether a parameter the network lacks belongs to a residual block that it has.

    Deeper networks have more blocks, which a shallower one can do without; more layers in the same
    block compute something else.
    """
    match = _BLOCK.match(_inside_backbone(name))
    if match is None or name.endswith("num_batches_tracked"):
        return False
    return any(_inside_backbone(key).startswith(match[0]) for key in network)


def _refuse_half_a_backbone(report: LoadReport, network: Iterable[str], name: str) -> None:
    surplus = [key for key in report.unused if _is_in_shared_block(key, network)]
    if surplus:
        raise ValueError(
            f"{name} does not fit the backbone, which has no {_layers(surplus)} in blocks that "
            "both have; is it of another network?"
        )
    lacking = [key for key in [*report.missing, *report.skipped] if _is_backbone(key)]
    if lacking:
        more = f" and {len(lacking) - 4} more" if len(lacking) > 4 else ""
        raise ValueError(
            f"{name} does not fit the backbone: no weights for {', '.join(lacking[:4])}{more}; "
            "is it of another network?"
        )


def _layers(names: Iterable[str]) -> str:
    """The layers that parameters belong to, a few of them."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
    more = f", and {len(layers) - _MOST_SHOWN} more" if len(layers) > _MOST_SHOWN else ""
    return ", ".join(layers[:_MOST_SHOWN]) + more
