"""What commands do with an experiment: settings that win over its file, its data, an evaluation."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    """The data set of `data.train` or `data.eval`, with its operators.

    Args:
        part: `train` or `eval`.
    """
    from .. import datasets
    from ..data.transforms import Compose

    data = loaded.experiment.data
    transforms = Compose.from_choices(getattr(data.transforms, part))
    with blamed(loaded, f"data.{part}"):
        return datasets.open_dataset(getattr(data, part), transforms)


@contextmanager
def blamed(loaded: LoadedExperiment, prefix: str) -> Iterator[None]:
    """Errors of the block name the key and the line of the setting whose value they mention.

    Args:
        prefix: the keys it may be: this one and those below it.
    """
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        mentioned = [
            key
            for key in loaded.origins
            if (key == prefix or key.startswith((f"{prefix}.", f"{prefix}[")))
            and _mentions(str(error), _value_at(loaded.given, key))
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


def _value_at(given: Any, key: str) -> Any:
    """What was written under a full key; None where it cannot be followed."""
    from ..config.interpolation import steps_of

    try:
        for name in steps_of(key):
            given = given[int(name)] if isinstance(given, list) else given[name]
    except (KeyError, IndexError, ValueError, TypeError):
        return None
    return given


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

    params = replace(params, eval_dataset=dataset)
    evaluation = call_checked(model.full_evaluation, params)
    return evaluation if is_main() else None
