"""``check``: what is in the data and what is wrong with it, on the terminal and on a page."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .experiment import add_overrides

if TYPE_CHECKING:
    from ..config.dataset_params import DatasetChoice
    from ..config.load import LoadedExperiment
    from ..data.check.inspection import Inspection, Part
    from ..data.check.plan import Plan

HELP = "show what is in the data and what is wrong with it"
FAIL_ON = ("errors", "warnings", "never")
_GIVEN = ("data_dir", "ann_file", "file_list", "label_list", "data_yaml", "split", "image_dir")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--config", metavar="FILE", help="YAML experiment file: data.train and data.eval together")
    add("--type", help="without --config: data set class (default: by the other options)")
    add("--data-dir", metavar="DIR", help="folder of the images (LabelMe: of the json files)")
    two = "two values (or fewer) are training and held-out data: {}"
    for name, metavar, words in (
        ("--ann-file", "FILE", "COCO json"),
        ("--file-list", "FILE", "VOC, EasyData: list of images"),
        ("--split", "NAME", "YOLO: parts of the data.yaml"),
    ):
        add(name, metavar=metavar, nargs="+", help=two.format(words))
    add("--label-list", metavar="FILE", help="VOC, EasyData, LabelMe: class names")
    add("--data-yaml", metavar="FILE", help="YOLO: the data.yaml")
    add("--image-dir", metavar="DIR", help="LabelMe: where the pictures are, if elsewhere")
    add("--html", metavar="FILE", help="the page (default: save_dir/check.html, or check.html)")
    add("--json", metavar="FILE", help="also write all findings with all their places")
    fail = "exit with status 1 when there are such findings or worse (default: errors)"
    add("--fail-on", choices=FAIL_ON, default=FAIL_ON[0], help=fail)
    workers = "processes that read images (default: half the cores, at most 8)"
    add("--num-workers", type=int, metavar="N", help=workers)
    add("--seed", type=int, default=0, help="which samples are shown (default: 0)")
    about = "a folder, archive or annotation file, recognised as what it is; or with --config: "
    add_overrides(parser, about, "SOURCE | section.key=value")


def run(arguments: argparse.Namespace) -> int:
    """0 when nothing of the level asked for was found, 1 otherwise."""
    folders = [] if arguments.config else [text for text in arguments.overrides if "=" not in text]
    arguments.folder = folders[0] if folders else None
    arguments.overrides = [text for text in arguments.overrides if text not in folders[:1]]
    _check(arguments)
    loaded = None
    if arguments.config:
        from ..config.load import load_experiment

        loaded = load_experiment(arguments.config, arguments.overrides)
    choices = {} if loaded else _choices(arguments)
    from ..data.check.inspection import inspect
    from ..progress import bar

    parts = _configured(loaded) if loaded else _given(choices)
    workers = "auto" if arguments.num_workers is None else arguments.num_workers
    with bar(sum(part.dataset.num_samples for part in parts), "reading images") as progress:
        inspection = inspect(parts, _plan(loaded, parts), workers, progress.update)
    save_dir = loaded.experiment.train.save_dir if loaded and loaded.experiment.train else "."
    page = Path(arguments.html or Path(save_dir) / "check.html")
    _write(inspection, parts, page, arguments)
    return _status(inspection, arguments.fail_on)


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together."""
    given = [name for name in (*_GIVEN, "type", "folder") if getattr(arguments, name) is not None]
    flags = ", ".join("--" + name.replace("_", "-") for name in given)
    if arguments.config and given:
        raise ValueError(f"--config names the data; {flags} cannot be given with it")
    if not arguments.config and not given:
        raise ValueError("check needs a folder, --config FILE, or --data-dir DIR --ann-file FILE")
    if arguments.folder and (others := [name for name in given if name not in ("type", "folder")]):
        flags = ", ".join("--" + name.replace("_", "-") for name in others)
        raise ValueError(f"{arguments.folder} is recognised as a whole: leave out {flags}")
    if not arguments.config and arguments.overrides:
        shown = " ".join(arguments.overrides)
        raise ValueError(f"{shown}: settings can only be given with --config")
    if arguments.num_workers is not None and arguments.num_workers < 0:
        raise ValueError(f"--num-workers is {arguments.num_workers}; at least 0 is needed")


def _choices(arguments: argparse.Namespace) -> dict[str, DatasetChoice]:
    """Name of a part -> the data set that the options name, checked as in a file."""
    from ..config.check import ConfigError, check_section
    from ..config.dataset_params import DATASETS, JOINED, DatasetChoice

    if arguments.folder:
        return _recognized(arguments)
    kind = arguments.type or _kind(arguments)
    kinds = [name for name in DATASETS if name not in (JOINED, "DrawnShapes")]
    if kind not in kinds:
        raise ValueError(f"--type is {kind!r}; choose one of {', '.join(kinds)}")
    values = {
        name: value if isinstance(value, list) else [value]
        for name in _GIVEN
        if (value := getattr(arguments, name)) is not None
    }
    count = max(map(len, values.values()))
    if count > 2:
        raise ValueError("at most two parts can be checked together: training and held-out data")
    choices = []
    for k in range(count):
        chosen = {name: entries[min(k, len(entries) - 1)] for name, entries in values.items()}
        params, problems = check_section(DATASETS[kind], chosen, "", lambda key: "command line")
        if problems:
            raise ConfigError(problems)
        choices.append(DatasetChoice(type=kind, arguments=params))
    return dict(zip(("train", "eval") if count == 2 else ("data",), choices, strict=True))


def _recognized(arguments: argparse.Namespace) -> dict[str, DatasetChoice]:
    """The parts of a folder; says what it was taken for."""
    from ..data.source import recognize

    source = recognize(Path(arguments.folder), arguments.type)
    print(*source.lines(arguments.folder), sep="\n")
    by_role = source.choices()
    names = {
        "train": "train",
        "val": "eval",
        "test": "eval",
        "": "data" if len(by_role) == 1 else "train",
    }
    choices: dict[str, DatasetChoice] = {}
    for role, choice in by_role.items():
        if names[role] in choices:
            print(
                f"the part {role or 'without a name'} is not checked, only training and held-out data are"
            )
        choices.setdefault(names[role], choice)
    return choices


def _kind(arguments: argparse.Namespace) -> str:
    if arguments.data_yaml or arguments.split:
        return "YoloSegmentation"
    if arguments.file_list:
        raise ValueError("--file-list: say which format it is, --type VOCDetection or EasyDataDet")
    if arguments.ann_file:
        return "CocoDetection"
    raise ValueError("give --ann-file FILE, or say with --type which format the data has")


def _configured(loaded: LoadedExperiment) -> list[Part]:
    from ..data.check.inspection import open_part
    from .experiment import open_dataset

    data = loaded.experiment.data
    names = [name for name in ("train", "eval") if getattr(data, name) is not None]
    if not names:
        raise ValueError("data.train and data.eval are missing: check needs one of them")
    return [open_part(name, partial(open_dataset, loaded, name)) for name in names]


def _given(choices: dict[str, DatasetChoice]) -> list[Part]:
    from .. import datasets
    from ..data.check.inspection import open_part

    return [
        open_part(name, partial(datasets.open_dataset, choice)) for name, choice in choices.items()
    ]


def _plan(loaded: LoadedExperiment | None, parts: list[Part]) -> Plan:
    """What the experiment, or one with the default values, does with the data."""
    from ..config.schema import ModelParams, OperatorLists
    from ..data.check.plan import AnchorSet, Plan, normalize_of, resizing_of
    from .experiment import preview_auto

    if loaded:  # what `auto` means is chosen by the first part: training data, where there are some
        loaded = preview_auto(loaded, {"train": parts[0].dataset})
    model = loaded.experiment.model if loaded else ModelParams()
    lists = loaded.experiment.data.transforms if loaded else OperatorLists()
    words, new_size = resizing_of(lists.train)
    anchors = AnchorSet(tuple(model.anchor_sizes), tuple(model.aspect_ratios), model.with_fpn)
    return Plan(words, new_size, anchors, model.keep_top_k, normalize_of(lists.train))


def _write(
    inspection: Inspection, parts: list[Part], page: Path, arguments: argparse.Namespace
) -> None:
    from ..report.check_page.page import as_page
    from ..report.check_page.text import as_plain, as_text

    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(writable(as_page(inspection, parts, arguments.seed)), encoding="utf-8")
    if arguments.json:
        Path(arguments.json).parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(as_plain(inspection), indent=1)  # ASCII: any name of a file survives
        Path(arguments.json).write_text(content, encoding="utf-8")
    print(writable(as_text(inspection)))
    print(f"page with pictures: {page}")


def writable(words: str) -> str:
    """Without the halves of characters that names of files which are no UTF-8 have in them."""
    return words.encode("utf-8", "backslashreplace").decode("utf-8")


def _status(inspection: Inspection, fail_on: str) -> int:
    levels = {"errors": ("error",), "warnings": ("error", "warning"), "never": ()}[fail_on]
    return int(any(inspection.count(level) for level in levels))
