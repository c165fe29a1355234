"""An experiment file drafted for labelled pictures: what was chosen, and why, in its comments.

Nothing is guessed about the machine that is going to train: what depends on memory or pace is `auto` in
the file. The pictures are neither changed nor copied; a split is two files of their names.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .config import auto
from .config.check import check_arguments
from .config.commented import Line, commented
from .config.dataset_params import DATASETS, JOINED, DatasetChoice
from .config.operator_params import OperatorChoice, ResizeByShortParams
from .config.params import default_of
from .config.schema import ModelParams
from .data.check.inspection import Inspection, Part, inspect
from .data.check.plan import AnchorSet, Plan, resizing_of
from .data.datasets import join, open_dataset
from .data.datasets.base import DetectionDataset
from .data.facts import data_facts
from .data.hold_out import HeldOut, hold_out
from .data.source import Source, SourcePart

EXPERIMENT, LIST = "experiment.yaml", "{role}.txt"
_MAX_SIZE = 1333  # of the longest side, beside a short side of 800 that of Detectron2 and PaddleX
_BACKBONE = "ResNet50"
RUN, SOURCE = "run", "Source: "  # its folder; the line that names what was labelled
# a word of a class name, or a part of one in capitals: left_shoe, ShoeLeft, eye.R
_SIDE = re.compile(
    r"(?<![A-Za-z])(left|right)(?![a-z])|(?<=[a-z])(Left|Right)(?![a-z])|(?<![A-Za-z])[lrLR](?![A-Za-z])",
)


@dataclass(frozen=True)
class Draft:
    """An experiment that is not written yet.

    Attributes:
        files: name -> text of what belongs into its folder.
        lines: what was seen and chosen, for people.
        inspection: of the data, with what is wrong with it.
        parts: the data that was inspected.
    """

    files: dict[str, str]
    lines: list[str]
    inspection: Inspection
    parts: list[Part]


@dataclass
class _Role:
    """Training or held-out data: parts of the source that are used together."""

    parts: list[SourcePart]
    datasets: list[DetectionDataset] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)  # file of names of each part; none: all of it
    reason: str = ""
    labels: list[str] | None = None  # of all, where those of the parts differ

    @property
    def dataset(self) -> DetectionDataset:
        return self.datasets[0] if len(self.datasets) == 1 else join(self.datasets)

    @property
    def num_images(self) -> int:
        return sum(dataset.num_samples for dataset in self.datasets)


def draft(
    source: Path,
    folder: Path,
    *,
    kind: str | None = None,
    share: float = 0.2,
    seed: int = 0,
    skip_invalid: bool = False,
    name: str = "",
    machine: auto.Machine | None = None,
) -> Draft:
    """Look at labelled pictures and choose how to train on them.

    Args:
        source: a folder, or an annotation file.
        folder: where the experiment is going to lie; nothing is written.
        kind: the data set's type, where the source does not tell it.
        share: of the images that are held out where the source has no such part.
        seed: of the split.
        skip_invalid: leave out annotations that cannot be used.
        name: what the source is called in the file; by default its path.
        machine: that chooses the size at which anchors are compared.

    Raises:
        DatasetError: when there is nothing to train on, or nothing to measure on.
    """
    recognized = recognize(source, kind)
    train, held_out, notes = _roles(recognized, skip_invalid)
    train.dataset.require_objects()
    lines = [*recognized.lines(name or source), *notes]
    facts = data_facts(train.dataset)
    machine = machine or auto.this_machine()
    size, detections = auto.short_size(facts, machine), auto.keep_top_k(facts)
    plan = _plan(size.value, detections.value)
    parts = [Part("train", train.dataset, [])]
    parts += [Part("eval", held_out.dataset, [])] if held_out else []
    inspection = inspect(parts, plan)
    files = {}
    if held_out is None:
        dealt = hold_out(inspection.scans[0], share, seed)
        train, held_out, files = _split(train, dealt, folder, seed)
    _give_same_labels(train, held_out)
    drafted = [
        Line("model", _model(inspection, size.value, detections)),
        Line("data", _data(train, held_out, inspection)),
        Line("train", _train(folder)),
    ]
    if machine.device == "cpu":
        drafted.insert(0, Line("profile", "fast", "no GPU here: fewer regions an image are trained on"))
    header = _header(name or str(source), lines, inspection, folder)
    files[EXPERIMENT] = commented(header, drafted)
    return Draft(files, lines, inspection, parts)


def _roles(source: Source, skip_invalid: bool) -> tuple[_Role, _Role | None, list[str]]:
    """What to train on, what the source holds out itself, and what is not used."""
    by_role: dict[str, list[SourcePart]] = defaultdict(list)
    for part in source.parts:
        by_role[part.role].append(_skipping(part) if skip_invalid else part)
    train = next(name for name in ("train", "", "val", "test") if name in by_role)
    held_out = next((name for name in ("val", "test") if name in by_role and name != train), None)
    chosen = _opened(by_role[train], f"the part {train}" if train else "")
    others = [name or "without a name" for name in by_role if name not in (train, held_out)]
    notes = [f"the part {each} is not used: change data.eval to measure on it" for each in others]
    if held_out is None:
        return chosen, None, notes
    return chosen, _opened(by_role[held_out], f"the part {held_out}"), notes


def _opened(parts: list[SourcePart], reason: str) -> _Role:
    return _Role(parts, [open_dataset(_choice(part)) for part in parts], reason=reason)


def _skipping(part: SourcePart) -> SourcePart:
    return replace(part, arguments={**part.arguments, "skip_invalid": True})


def _choice(part: SourcePart) -> DatasetChoice:
    kind = DATASETS[part.type]
    return DatasetChoice(type=part.type, arguments=check_arguments(kind, part.arguments))


def _split(
    role: _Role, dealt: HeldOut, folder: Path, seed: int
) -> tuple[_Role, _Role, dict[str, str]]:
    """The role in two, each with its files of names."""
    files: dict[str, str] = {}
    roles = []
    for name, positions in (("train", dealt.train), ("val", dealt.eval)):
        lists, first, chosen = [], 0, set(positions)
        parts, datasets = [], []
        for number, (part, dataset) in enumerate(zip(role.parts, role.datasets, strict=True), 1):
            names = [
                image
                for k, image in enumerate(dataset.image_names(), first)
                if k in chosen
            ]
            first += dataset.num_samples
            if not names:
                continue
            file = f"{name}.txt" if len(role.parts) == 1 else f"{name}_{number}.txt"
            files[file] = "".join(f"{image}\n" for image in names)
            lists.append(str((folder / file).absolute()))
            parts.append(part)
            datasets.append(dataset)
        reason = f"{len(positions)} of {role.num_images} images, classes in proportion, seed {seed}"
        if dealt.num_alike:
            reason += f"; {dealt.num_alike} groups of near copies stay together"
        roles.append(_Role(parts, datasets, lists, reason))
    return roles[0], roles[1], files


def _give_same_labels(train: _Role, held_out: _Role) -> None:
    """The classes of both, in one order, where those of the parts differ."""
    datasets = [*train.datasets, *held_out.datasets]
    if all(dataset.labels == datasets[0].labels for dataset in datasets):
        return
    labels = list(dict.fromkeys(label for dataset in datasets for label in dataset.labels))
    parts = [*train.parts, *held_out.parts]
    for role in (train, held_out):
        if all(_takes_labels(part) for part in parts):
            role.parts = [_with(part, label_list=sorted(labels)) for part in role.parts]
        else:
            role.labels = labels


def _takes_labels(part: SourcePart) -> bool:
    """Whether its class names are those that occur, so that they may be given too."""
    defaults = {this.name: default_of(this) for this in fields(DATASETS[part.type])}
    return defaults.get("label_list", ()) is None and "label_list" not in part.arguments


def _with(part: SourcePart, **arguments: Any) -> SourcePart:
    return replace(part, arguments={**part.arguments, **arguments})


def _plan(short_size: int, detections: int) -> Plan:
    """What the drafted network does with the images."""
    resize = ResizeByShortParams(short_size=short_size, max_size=_MAX_SIZE)
    words, new_size = resizing_of([OperatorChoice(name="ResizeByShort", arguments=resize)])
    model = ModelParams()
    anchors = AnchorSet(tuple(model.anchor_sizes), tuple(model.aspect_ratios))
    return Plan(words, new_size, anchors, detections)


def _model(inspection: Inspection, short_size: int, detections: auto.Choice) -> list[Line]:
    lines = [
        Line("backbone", _BACKBONE, "its COCO and ImageNet weights are published"),
        Line("keep_top_k", detections.value, detections.reason),
    ]
    anchors = inspection.anchors
    if anchors is None or anchors.better is None or anchors.rows[0].after is None:
        return lines
    before, after = anchors.rows[0].before[1], anchors.rows[0].after[1]
    reason = f"of the objects {after:.0%} instead of {before:.0%} meet an anchor at IoU 0.7"
    reason += f", images at {short_size} pixels"
    lines.append(Line("anchor_sizes", list(anchors.better.sizes), reason))
    return [*lines, Line("aspect_ratios", list(anchors.better.ratios))]


def _data(train: _Role, held_out: _Role, inspection: Inspection) -> list[Line]:
    resize = Line("ResizeByShort", {"short_size": auto.AUTO, "max_size": _MAX_SIZE})
    sized = replace(resize, reason="from the sides of the objects and the machine's memory")
    rest = [Line("", [Line("Padding", {"coarsest_stride": 32})])]
    steps = [_mirror(train.dataset.labels), Line("", "Normalize"), Line("", [sized]), *rest]
    evaluation = [Line("", "Normalize"), Line("", [resize]), *rest]
    return [
        Line("train", _dataset(train), train.reason),
        Line("eval", _dataset(held_out), held_out.reason),
        Line("transforms", [Line("train", steps), Line("eval", evaluation)]),
    ]


def _dataset(role: _Role) -> list[Line]:
    """Section data.train or data.eval."""
    lists = role.lists or [""] * len(role.parts)
    parts = [
        [Line("type", part.type), *(Line(key, value) for key, value in part.arguments.items())]
        + ([Line("image_list", file)] if file else [])
        for part, file in zip(role.parts, lists, strict=True)
    ]
    if len(parts) == 1 and role.labels is None:
        return parts[0]
    lines = [Line("type", JOINED), Line("parts", [Line("", part) for part in parts])]
    return lines + ([Line("labels", role.labels)] if role.labels is not None else [])


def _mirror(labels: Sequence[str]) -> Line:
    """RandomHorizontalFlip, which must not make a left one of a right one."""
    sided = [name for name in labels if _SIDE.search(name)]
    if not sided:
        return Line("", "RandomHorizontalFlip")
    pairs = [[name, other] for name in sided if (other := _mirrored(name)) in labels and name < other]
    if 2 * len(pairs) == len(sided):
        swaps = Line("RandomHorizontalFlip", {"swap_labels": pairs})
        return Line("", [replace(swaps, reason="a mirror makes one of the other")])
    off = Line("RandomHorizontalFlip", {"prob": 0})
    return Line("", [replace(off, reason=f"off: a mirrored {sided[0]!r} would be called so too")])


def _mirrored(name: str) -> str:
    """A class name with left for right, in its own capitals."""

    def other(match: re.Match[str]) -> str:
        word = {"left": "right", "right": "left", "l": "r", "r": "l"}[match[0].lower()]
        if match[0].isupper():
            return word.upper()
        return word.capitalize() if match[0][0].isupper() else word

    return _SIDE.sub(other, name)


def _train(folder: Path) -> list[Line]:
    weights = choose_weights(_BACKBONE, with_fpn=True, without_network=True)
    return [
        Line("num_epochs", auto.AUTO, "from the number of images"),
        Line("train_batch_size", auto.AUTO, "from the machine's memory"),
        Line("learning_rate", auto.AUTO, "from the batch"),
        Line("warmup_steps", auto.AUTO, "a tenth of the steps, at most 500"),
        Line("lr_decay_epochs", auto.AUTO, "at 2/3 and 8/9 of the epochs"),
        Line("save_interval_epochs", auto.AUTO, "about ten evaluations"),
        Line("keep_last", 2, "and the best model"),
        Line("pretrain_weights", weights.value, weights.reason),
        Line("save_dir", str(folder / RUN)),
    ]


def _header(name: str, lines: Sequence[str], inspection: Inspection, folder: Path) -> list[str]:
    described = [part.dataset.describe() for part in inspection_parts]
    return [
        f"Drafted by `paddlex-maskrcnn init` on {time.strftime('%Y-%m-%d')}; it is yours to change.",
        f"{SOURCE}{name}",
        *lines,
        *described,
        "auto is decided when training starts (--print-config shows it); docs/hyperparameters.md has every key.",
        "",
        f"  paddlex-maskrcnn train --config {folder / EXPERIMENT}",
    ]
