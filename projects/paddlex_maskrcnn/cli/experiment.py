"""What commands do with an experiment: settings that win over its file, its data, an evaluation."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config.auto import Budget, Choice, Machine
    from ..config.load import LoadedExperiment
    from ..config.schema import EvaluateParams
    from ..data.datasets.base import DetectionDataset
    from ..maskrcnn import MaskRCNN
    from ..metrics.evaluation import Evaluation


class Once(argparse.Action):
    """An argument whose second value would replace the first without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = getattr(namespace, self.dest)
        if given is not None:
            raise argparse.ArgumentError(self, f"is given twice, as {given} and as {values}")
        setattr(namespace, self.dest, values)


def add_overrides(
    parser: argparse.ArgumentParser, when: str = "", metavar: str = "section.key=value"
) -> None:
    """Let a command take any number of `section.key=value`.

    Args:
        when: words before the help, such as `with --config: `.
        metavar: how the help calls them.
    """
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],  # without it argparse calls them required when another argument is missing
        metavar=metavar,
        help=f"{when}settings that win over the file",
    )


def add_eval_data_arguments(parser: argparse.ArgumentParser, recorded: str) -> None:
    """Give a parser the arguments that choose the data, and settings that win over the file.

    Args:
        recorded: how the help names the experiment file that a run left.
    """
    parser.add_argument(
        "--config",
        action=Once,
        metavar="FILE",
        help=f"whose data.eval to use (default: {recorded})",
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", help="with --ann-file: images of other data, in COCO format"
    )
    parser.add_argument("--ann-file", metavar="FILE", help="with --data-dir: its annotations")
    add_overrides(parser, "after the folder: ")


def open_eval_data(arguments: argparse.Namespace, recorded: Path) -> DetectionDataset:
    """The data set that the arguments name.

    Args:
        recorded: the experiment file that a run left, which need not be there.

    Raises:
        ValueError: when they name none.
    """
    if arguments.data_dir or arguments.ann_file:
        if not (arguments.data_dir and arguments.ann_file):
            raise ValueError("--data-dir and --ann-file belong together: give both or none")
        from ..datasets import CocoDetection

        return CocoDetection(arguments.data_dir, arguments.ann_file)
    from ..config.load import load_experiment

    config = Path(arguments.config or recorded)
    if not arguments.config and not config.is_file():
        raise ValueError(
            f"{recorded.parent} has no {recorded.name} that says which data to use; give --config, "
            "or --data-dir and --ann-file"
        )
    loaded = load_experiment(str(config), list(arguments.overrides))
    if loaded.experiment.data.eval is None:
        raise ValueError(
            f"{config} has no data.eval; give another --config, or --data-dir and --ann-file"
        )
    return open_dataset(loaded, "eval")


def open_dataset(loaded: LoadedExperiment, part: str) -> DetectionDataset:
    """The data set of `data.train` or `data.eval`, with its operators; without where one is still `auto`.

    Args:
        part: `train` or `eval`.
    """
    dataset = open_images(loaded, part)
    _give_operators(loaded, {part: dataset})
    return dataset


def open_images(loaded: LoadedExperiment, part: str) -> DetectionDataset:
    """The data set of `data.train` or `data.eval` without operators, which need torch."""
    from .. import datasets

    choice = getattr(loaded.experiment.data, part)
    if choice is None:
        keys = ", ".join(loaded.experiment.auto)
        raise ValueError(f"data.{part} is missing: its images decide what auto means ({keys})")
    with blamed(loaded, f"data.{part}"):
        return datasets.open_dataset(choice)


def _give_operators(loaded: LoadedExperiment, opened: Mapping[str, DetectionDataset]) -> None:
    from ..data.transforms import Compose

    experiment = loaded.experiment
    for part, dataset in opened.items():
        if not any(key.startswith(f"data.transforms.{part}[") for key in experiment.auto):
            dataset.transforms = Compose.from_choices(getattr(experiment.data.transforms, part))


def resolve_auto(
    loaded: LoadedExperiment,
    opened: Mapping[str, DetectionDataset],
    budget: Budget | None = None,
) -> LoadedExperiment:
    """The experiment with values in place of `auto`, the same in all processes; call it in all.

    A run that goes on takes what its first start has written into config.yaml; what is not there, and all of
    a new run, is chosen from the training data, the machine and the budget (`config.auto`).

    Args:
        opened: data sets of `train` and `eval` as `open_dataset` left them, which get their operators; the
            one to train on is opened where it is not among them.
        budget: how long the run may take.

    Raises:
        ValueError: when there is nothing to choose by.
    """
    if not loaded.experiment.auto:
        return loaded
    from ..config.load import with_choices
    from ..processes import from_main, is_main, shard

    choices = _choices(loaded, opened, shard()[1], budget) if is_main() else {}
    loaded = with_choices(loaded, from_main(choices))
    _give_operators(loaded, opened)
    return loaded


def preview_auto(
    loaded: LoadedExperiment, opened: Mapping[str, DetectionDataset], processes: int = 1
) -> LoadedExperiment:
    """As `resolve_auto` in a run of so many processes, for showing: without torch where there is no GPU."""
    if not loaded.experiment.auto:
        return loaded
    from ..config.load import with_choices

    return with_choices(loaded, _choices(loaded, opened, processes, None))


def _choices(
    loaded: LoadedExperiment,
    opened: Mapping[str, DetectionDataset],
    processes: int,
    budget: Budget | None,
) -> dict[str, Choice]:
    from ..config.auto import choose, resolved

    choices = _recorded_choices(loaded)
    experiment = resolved(loaded.experiment, choices)
    if not experiment.auto:
        return choices
    from ..data.facts import data_facts

    facts = data_facts(opened.get("train") or open_images(loaded, "train"))
    machine = _machine(experiment.model.device, processes)
    return choices | choose(experiment, facts, machine, budget)


def _recorded_choices(loaded: LoadedExperiment) -> dict[str, Choice]:
    """What the run that goes on has written down."""
    train = loaded.experiment.train
    if train is None or train.resume_checkpoint is None:
        return {}
    from ..config.auto import recorded
    from ..config.yaml_io import comments_of, read
    from ..engine.run_folder import CONFIG, folder_to_resume

    folder = folder_to_resume(train)
    file = folder / CONFIG if folder else None
    if file is None or not file.is_file():
        return {}
    content, lines = read(file)
    by_line = comments_of(file)
    comments = {key: by_line[line] for key, line in lines.items() if line in by_line}
    return recorded(loaded.experiment, content, comments, file)


def _machine(device: str, processes: int) -> Machine:
    """Where training runs.

    Args:
        device: as in `model.device`.
    """
    from ..config.auto import Machine
    from ..system import may_have_gpu

    if device == "cpu" or not may_have_gpu():
        return Machine("cpu", None, processes)
    from ..processes import gpu_memory_gib

    memory = gpu_memory_gib()
    return Machine("cpu" if memory is None else "cuda", memory, processes)


@contextmanager
def blamed(loaded: LoadedExperiment, prefix: str) -> Iterator[None]:
    """Errors of the block name the key and the line of the setting whose value they mention.

    Args:
        prefix: the keys it may be: this one and those below it.
    """
    from ..config.auto import value_at

    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        mentioned = [
            key
            for key in loaded.origins
            if (key == prefix or key.startswith((f"{prefix}.", f"{prefix}[")))
            and _mentions(str(error), value_at(loaded.given, key))
        ]
        if not mentioned:
            raise
        key = max(mentioned, key=len)
        raise ValueError(f"{loaded.origins[key]}: {key}: {error}") from error


def _mentions(text: str, value: Any) -> bool:
    """Whether a text has the value in it, and not as a part of a longer name or path."""
    if not isinstance(value, str) or not value:
        return False
    return re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w-])", text) is not None


def evaluated(
    model: MaskRCNN, dataset: DetectionDataset, params: EvaluateParams
) -> Evaluation | None:
    """Evaluate; with several processes call it in all.

    Args:
        params: checked; the data set in them is replaced.

    Returns:
        what was found; None in processes beside the main one.
    """
    from ..config.signature import call_checked
    from ..processes import is_main

    if dataset.transforms is None:  # they are `auto` in the file, and resolved in the model
        dataset.transforms = model.test_transforms
    params = replace(params, eval_dataset=dataset)
    evaluation = call_checked(model.full_evaluation, params)
    return evaluation if is_main() else None
