"""An experiment file drafted for labelled pictures: what was chosen, and why, in its comments.

Nothing is guessed about the machine that is going to train: what depends on memory or pace is `auto` in
the file. The pictures are neither changed nor copied; a split is two files of their names.
"""

from __future__ import annotations

import re
import shlex
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .config import auto_rules as rules
from .config.auto_rules import Choice, Machine
from .config.check import AUTO, check_arguments
from .config.commented import Line, commented
from .config.dataset_params import DATASETS, JOINED, DatasetChoice
from .config.operator_params import OperatorChoice, ResizeByShortParams
from .config.params import default_of
from .config.schema import ModelParams
from .data.check.findings import WARNING, Finding
from .data.check.inspection import Inspection, Part, inspect
from .data.check.plan import AnchorSet, Plan, resizing_of
from .data.datasets import DetectionDataset, join, open_dataset
from .data.datasets.image_list import as_text
from .data.facts import data_facts
from .data.hold_out import HeldOut, hold_out
from .data.source import Source, SourcePart, recognize
from .system import may_have_gpu
from .weights.choice import choose_weights

EXPERIMENT, RUN = "experiment.yaml", "run"
_MAX_SIZE = 1333  # of the longest side, beside a short side of 800 that of Detectron2 and PaddleX
_BACKBONE = "ResNet50"
_MOST_NAMED = 20  # classes, in a comment
_SOURCE = "Source: "  # begins the line that names what was labelled
# words of class names, and parts that capitals set off: left_shoe, ShoeLeft, eye.R, but not leftover
_SIDE = re.compile(
    r"(?<![A-Za-z])(?:left|right)(?![a-z])|(?<![A-Z])(?:Left|Right)(?![a-z])"
    r"|(?<![A-Za-z])(?:LEFT|RIGHT|[lrLR])(?![A-Za-z])"
)


@dataclass(frozen=True)
class Draft:
    """An experiment that is not written yet.

    Attributes:
        files: name -> text of what belongs into its folder.
        lines: what was seen and chosen, for people.
        inspection: of the data, with what is wrong with it.
        parts: the data that was inspected.
        findings: what is wrong with it, but for what the experiment makes up for.
    """

    files: dict[str, str]
    lines: list[str]
    inspection: Inspection
    parts: list[Part]
    findings: list[Finding]


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
    given: Path | None = None,
    machine: Machine | None = None,
) -> Draft:
    """Look at labelled pictures and choose how to train on them.

    Args:
        source: a folder, or an annotation file.
        folder: where the experiment is going to lie; nothing is written.
        kind: the data set's type, where the source does not tell it.
        share: of the images that are held out where the source has no such part.
        seed: of the split.
        skip_invalid: leave out annotations that cannot be used.
        given: what the user named, where the source was unpacked from it.
        machine: that chooses the size at which anchors are compared.

    Raises:
        DatasetError: when there is nothing to train on, or nothing to measure on.
    """
    recognized = recognize(source, kind)
    train, held_out, notes = _roles(recognized, skip_invalid)
    dataset = train.dataset
    dataset.require_objects()
    facts = data_facts(dataset)
    lines = [*recognized.lines(given or source), *notes, _in_numbers(dataset)]
    machine = machine or Machine("cuda" if may_have_gpu() else "cpu")
    size, detections = rules.short_size(facts, machine), rules.keep_top_k(facts)
    plan = _plan(size.value, detections.value)
    parts = [Part("train", dataset, [])]
    parts += [Part("eval", held_out.dataset, [])] if held_out else []
    inspection = inspect(parts, plan)
    files: dict[str, str] = {}
    if held_out is None:
        dealt = hold_out(inspection.scans[0], share, seed)
        train, held_out, files = _split(train, dealt, folder, seed)
    _give_same_labels(train, held_out)
    drafted = [
        Line("model", _model(inspection, size.value, detections)),
        Line("data", _data(train, held_out)),
        Line("train", _train(folder)),
    ]
    if machine.device == "cpu":
        drafted.insert(0, Line("profile", "fast", "no GPU here: trains on fewer regions per image"))
    header = _header(given or source, lines, folder)
    files[EXPERIMENT] = commented(header, drafted)
    is_made_up_for = _chosen_anchors(inspection) is not None
    findings = [
        each for each in inspection.findings if not is_made_up_for or each.kind != "anchors"
    ]
    return Draft(files, lines, inspection, parts, findings)


def _roles(source: Source, skip_invalid: bool) -> tuple[_Role, _Role | None, list[str]]:
    """What to train on, what the source holds out itself, and what is not used."""
    by_role: dict[str, list[SourcePart]] = defaultdict(list)
    for part in source.parts:
        by_role[part.role].append(_skipping(part) if skip_invalid else part)
    train = next(name for name in ("train", "", "val", "test") if name in by_role)
    held_out = next((name for name in ("val", "test") if name in by_role and name != train), None)
    chosen = _opened(by_role[train], f"the source's part {train}" if train else "")
    others = [name or "without a name" for name in by_role if name not in (train, held_out)]
    notes = [f"the part {each} is not used: change data.eval to measure on it" for each in others]
    if held_out is None:
        return chosen, None, notes
    return chosen, _opened(by_role[held_out], f"the source's part {held_out}"), notes


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
            names = [image for k, image in enumerate(dataset.image_names(), first) if k in chosen]
            first += dataset.num_samples
            if not names:
                continue
            file = f"{name}.txt" if len(role.parts) == 1 else f"{name}_{number}.txt"
            files[file] = as_text(names)
            lists.append(str((folder / file).absolute()))
            parts.append(part)
            datasets.append(dataset)
        reason = f"{len(positions)} of {role.num_images} images, classes in proportion, seed {seed}"
        if dealt.num_alike:
            groups = "group" if dealt.num_alike == 1 else "groups"
            reason += f"; near copies stay together ({dealt.num_alike} {groups})"
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


def _in_numbers(dataset: DetectionDataset) -> str:
    objects = int((~dataset.records.is_crowd).sum())
    count, labels = len(dataset.labels), ", ".join(dataset.labels[:_MOST_NAMED])
    more = ", ..." if count > _MOST_NAMED else ""
    classes = f"{count} class{'es' * (count > 1)}: {labels}{more}"
    return f"{dataset.num_samples} images, {objects} objects of {classes}"


def _plan(short_size: int, detections: int) -> Plan:
    """What the drafted network does with the images."""
    resize = ResizeByShortParams(short_size=short_size, max_size=_MAX_SIZE)
    words, new_size = resizing_of(
        [OperatorChoice(name="ResizeByShort", arguments=resize, given={})]
    )
    model = ModelParams()
    anchors = AnchorSet(tuple(model.anchor_sizes), tuple(model.aspect_ratios))
    return Plan(words, new_size, anchors, detections)


def _model(inspection: Inspection, short_size: int, detections: Choice) -> list[Line]:
    lines = [
        Line("backbone", _BACKBONE, "COCO and ImageNet weights are published for it"),
        Line("keep_top_k", detections.value, detections.reason),
    ]
    better = _chosen_anchors(inspection)
    if better is None or inspection.anchors is None:
        return lines
    row = inspection.anchors.rows[0]
    before, after = (f"{rates[0]:.0%}" for rates in (row.before, row.after or (0.0,)))
    reason = f"{after} of the objects meet an anchor, {before} meet one of the default anchors"
    reason += f" (IoU 0.5, images at {short_size} pixels)"
    sizes = [int(size) for size in better.sizes]
    lines.append(Line("anchor_sizes", sizes, reason))
    return [*lines, Line("aspect_ratios", list(better.ratios))]


def _chosen_anchors(inspection: Inspection) -> AnchorSet | None:
    """Anchors for the file, where the usual ones fit badly.

    Where they fit well enough, better ones are left alone: published detectors were trained with the usual.
    """
    report = inspection.anchors
    fit_badly = any(
        each.kind == "anchors" and each.level == WARNING for each in inspection.findings
    )
    return report.better if report is not None and fit_badly else None


def _data(train: _Role, held_out: _Role) -> list[Line]:
    resize = Line("ResizeByShort", {"short_size": AUTO, "max_size": _MAX_SIZE})
    sized = replace(resize, reason="from the size of the objects and the machine's memory")
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
    pairs = [
        [name, other] for name in sided if (other := _mirrored(name)) in labels and name < other
    ]
    if 2 * len(pairs) == len(sided):
        swaps = Line("RandomHorizontalFlip", {"swap_labels": pairs})
        return Line("", [replace(swaps, reason="mirroring turns one into the other")])
    off = Line("RandomHorizontalFlip", {"prob": 0})
    return Line(
        "", [replace(off, reason=f"off: a mirrored {sided[0]!r} would still have that name")]
    )


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
        Line("num_epochs", AUTO, "from the number of images"),
        Line("train_batch_size", AUTO, "from the machine's memory"),
        Line("learning_rate", AUTO, "from the batch size"),
        Line("warmup_steps", AUTO, "a tenth of the steps, at most 500"),
        Line("lr_decay_epochs", AUTO, "at 2/3 and 8/9 of the epochs"),
        Line("save_interval_epochs", AUTO, "about ten evaluations"),
        Line("keep_last", 2, "and the best model"),
        Line("pretrain_weights", weights.value, weights.reason),
        Line("save_dir", str(folder / RUN)),
    ]


def _header(source: Path, lines: Sequence[str], folder: Path) -> list[str]:
    return [
        f"Drafted by `paddlex-maskrcnn init` on {time.strftime('%Y-%m-%d')}; it is yours to change.",
        f"{_SOURCE}{source.absolute()}",
        *lines,
        "auto is decided when training starts (see --print-config); all keys: docs/hyperparameters.md.",
        "",
        f"  paddlex-maskrcnn train --config {shlex.quote(str(folder / EXPERIMENT))}",
    ]


def source_of(experiment: Path) -> str | None:
    """What a drafted experiment file was drafted for; None where it no longer says so."""
    # a file that somebody saved in another encoding is for `load_experiment` to refuse
    for text in experiment.read_text(encoding="utf-8", errors="replace").splitlines():
        if text.startswith(f"# {_SOURCE}"):
            return text.removeprefix(f"# {_SOURCE}")
    return None
