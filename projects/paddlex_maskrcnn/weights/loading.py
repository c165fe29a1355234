"""Weights into a network: what matched, what did not, and never half a backbone in silence."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from .input_format import InputFormat

logger = logging.getLogger(__name__)

# Where detectors keep their backbone: with pyramid, without, and the last stage without.
_BACKBONE_PREFIXES = ("backbone.bottom_up.", "backbone.", "roi_heads.")
_STAGES = ("stem.", "res", "stage", "transition")  # how the names inside a backbone begin
_BLOCK = re.compile(r"res[2-5]\.\d+\.")
_MOST_SHOWN = 3
_MOST_CLASSES = 10  # that a line names

_SCORES = "box_predictor.cls_score."
_CLASS_LAYERS = (_SCORES, "box_predictor.bbox_pred.", "mask_head.predictor.")
_BACKGROUND = None  # behind the class names; in the scores alone


@dataclass(frozen=True)
class WeightSource:
    """Weights that can be loaded into a network.

    Attributes:
        name: for messages: the path, or the catalogue's name.
        state: Detectron2's parameter names -> tensors; a bare backbone's begin at `stem.`.
        input_format: how images must look for them.
        labels: the foreground classes they were trained on, in the order of their rows; None where
            nothing says so.
    """

    name: str
    state: dict[str, torch.Tensor]
    input_format: InputFormat
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ClassMatch:
    """What the classes of a network start from, by their names.

    Attributes:
        shared: in both: these start from what the source learned.
        new: of the network only: they start at random.
        left_out: of the source only.
    """

    shared: list[str]
    new: list[str]
    left_out: list[str]

    def __str__(self) -> str:
        """All three in one sentence."""
        if not self.shared:
            return (
                f"classes: none has the name of another, all start at random ({_named(self.new)})"
            )
        parts = [f"classes taken over by name: {_named(self.shared)}"]
        parts += [f"new, at random: {_named(self.new)}"] if self.new else []
        parts += [f"left out: {_named(self.left_out)}"] if self.left_out else []
        return "; ".join(parts)

    def nearly_alike(self) -> list[tuple[str, str]]:
        """(new, left out) names that differ in case, spaces, `-` and `_` alone."""
        plain = {_plain(name): name for name in self.left_out}
        return [(name, plain[_plain(name)]) for name in self.new if _plain(name) in plain]


@dataclass
class LoadReport:
    """Names of parameters by what happened to them.

    Attributes:
        matched: loaded as they are.
        adapted: loaded after a change of shape or of the order of classes that keeps their meaning.
        skipped: in both, of different shape or for other classes: they start at random.
        missing: in the network only: they start at random.
        unused: in the source only.
        classes: what became of the classes; None where the source has none, or does not name them.
    """

    matched: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    classes: ClassMatch | None = None

    def __str__(self) -> str:
        """Counts of all kinds, the layers that were not loaded, and the classes."""
        counts = []
        for kind in ("matched", "adapted", "skipped", "missing", "unused"):
            names = getattr(self, kind)
            shown = f" ({_layers(names)})" if names and kind not in ("matched", "unused") else ""
            counts.append(f"{len(names)} {kind}{shown}")
        return ", ".join(counts) + (f"; {self.classes}" if self.classes else "")


def load_weights(
    network: nn.Module, source: WeightSource, labels: Sequence[str] | None = None
) -> LoadReport:
    """Copy the source's tensors into the network.

    The layers with rows of their own for each class are matched by the names of the classes, where
    both are known; otherwise by position, where there are as many.

    Args:
        labels: the foreground classes that the network is going to learn; None leaves their names
            out of it.

    Raises:
        ValueError: when a part of the backbone finds no weights.
    """
    report, loaded = _match(network, source, labels)
    target = network.state_dict()
    _refuse_half_a_backbone(report, target, source.name)
    network.load_state_dict({**target, **loaded})
    if labels is not None:
        _warn_of_classes(report, source, labels)
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


def _match(
    network: nn.Module, source: WeightSource, labels: Sequence[str] | None = None
) -> tuple[LoadReport, dict[str, torch.Tensor]]:
    target = network.state_dict()
    report, loaded = LoadReport(), {}
    for name, value in source.state.items():
        key = _key_in(target, name)
        if key is None:
            report.unused.append(name)
            continue
        fitted, kind = _fitted(key, value, target[key], source.labels, labels)
        getattr(report, kind).append(key)
        if fitted is not None:
            loaded[key] = fitted
    # counters of batch norms are no weights: a file without them is complete
    left = [key for key in target if key not in loaded and key not in report.skipped]
    report.missing = [key for key in left if not key.endswith("num_batches_tracked")]
    if source.labels is not None and labels is not None:
        report.classes = _match_classes(report, source.labels, labels)
    return report, loaded


def _fitted(
    key: str,
    value: torch.Tensor,
    target: torch.Tensor,
    old: Sequence[str] | None,
    new: Sequence[str] | None,
) -> tuple[torch.Tensor | None, str]:
    """What a parameter is loaded with, None for nothing; and the kind of the report that it is of.

    Args:
        old, new: class names of the source and of the network.
    """
    if (
        old is not None and new is not None and list(old) != list(new)
        and _has_rows_of(key, value, old) and _has_rows_of(key, target, new)
    ):  # fmt: skip
        rows = _rows_by_name(key, value, target, old, new)
        return rows, "skipped" if rows is None else "adapted"
    if target.shape == value.shape:
        return value, "matched"
    if key.endswith("stem.conv1.weight"):
        return adapt_stem(value, target.shape[1]), "adapted"
    return None, "skipped"


def _names_of_rows(key: str, labels: Sequence[str]) -> list[str | None]:
    """The classes of a class layer in their order, which in Detectron2 ends with the background."""
    return [*labels, _BACKGROUND] if _SCORES in key else list(labels)


def _has_rows_of(key: str, value: torch.Tensor, labels: Sequence[str]) -> bool:
    """Whether a parameter has as many rows for each of these classes as class layers have."""
    layer = next((layer for layer in _CLASS_LAYERS if layer in key), None)
    if layer is None:
        return False
    rows = (
        4 if "bbox_pred" in layer else 1
    )  # four numbers of a box; class-agnostic layers have 4 in all
    return len(value) == rows * len(_names_of_rows(key, labels))


def _rows_by_name(
    key: str, value: torch.Tensor, target: torch.Tensor, old: Sequence[str], new: Sequence[str]
) -> torch.Tensor | None:
    """The target's values, with the rows of classes that both have; None where no class is in both."""
    if not set(old) & set(new) or value.shape[1:] != target.shape[1:]:
        return None
    before, after = _names_of_rows(key, old), _names_of_rows(key, new)
    rows = value.unflatten(0, (len(before), -1)).to(target)
    fitted = target.clone().unflatten(0, (len(after), -1))
    position = {name: k for k, name in enumerate(before)}
    for k, name in enumerate(after):
        if name in position:
            fitted[k] = rows[position[name]]
    return fitted.flatten(0, 1)


def _match_classes(report: LoadReport, old: Sequence[str], new: Sequence[str]) -> ClassMatch | None:
    """None when the source has no class layers, as a classifier's weights."""
    loaded = any(_is_class_layer(key) for key in [*report.matched, *report.adapted])
    if not loaded and not any(_is_class_layer(key) for key in report.skipped):
        return None
    shared = [name for name in new if name in set(old)] if loaded else []
    added = [name for name in new if name not in shared]
    return ClassMatch(shared, added, [name for name in old if name not in shared])


def _is_class_layer(key: str) -> bool:
    return any(layer in key for layer in _CLASS_LAYERS)


def _warn_of_classes(report: LoadReport, source: WeightSource, labels: Sequence[str]) -> None:
    if report.classes is not None:
        for name, other in report.classes.nearly_alike():
            logger.warning(
                "class %r starts at random: %s calls it %r, and names are matched exactly; write "
                "the same name to take it over", name, source.name, other,
            )  # fmt: skip
    elif any(_is_class_layer(key) for key in report.matched):
        logger.warning(
            "%s does not name its classes: its rows are taken to be those of %s, in this order; "
            "where they are others, train from a model directory, whose model.yml names them",
            source.name, _named(labels),
        )  # fmt: skip


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_CLASSES} more" if len(names) > _MOST_CLASSES else ""
    return ", ".join(names[:_MOST_CLASSES]) + more


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _key_in(target: Iterable[str], name: str) -> str | None:
    """Where a source's name lives in the network: as it is, or where this detector's backbone is."""
    if name in target:
        return name
    bare = inside_backbone(name)
    if bare.startswith(_STAGES):
        for prefix in _BACKBONE_PREFIXES:
            if prefix + bare in target:
                return prefix + bare
    return None


def inside_backbone(name: str) -> str:
    """The name without a detector's prefix for its backbone."""
    for prefix in _BACKBONE_PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _is_backbone(key: str) -> bool:
    inside = inside_backbone(key)
    # ImageNet weights have no offsets of deformable convolutions: these start anew
    return inside != key and inside.startswith(_STAGES) and "conv2_offset" not in key


def _is_in_shared_block(name: str, network: Iterable[str]) -> bool:
    """Whether a parameter the network lacks belongs to a residual block that it has.

    Deeper networks have more blocks, which a shallower one can do without; more layers in the same
    block compute something else.
    """
    match = _BLOCK.match(inside_backbone(name))
    if match is None or name.endswith("num_batches_tracked"):
        return False
    return any(inside_backbone(key).startswith(match[0]) for key in network)


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
