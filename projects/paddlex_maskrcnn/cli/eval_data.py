"""Which held-out data a command evaluates on: its arguments, opening what they name, evaluating."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .overrides import add_overrides

if TYPE_CHECKING:
    from ..config.load import LoadedExperiment
    from ..data.datasets.base import DetectionDataset
    from ..maskrcnn import MaskRCNN
    from ..metrics.evaluation import Evaluation


def add_eval_data_arguments(parser: argparse.ArgumentParser, recorded: str) -> None:
    """Give a parser the arguments that choose the data, and settings that win over the file.

    Args:
        recorded: how the help names the experiment file that a run left.
    """
    parser.add_argument(
        "--config", metavar="FILE", help=f"whose data.eval to use (default: {recorded})"
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
    return datasets.open_dataset(getattr(data, part), transforms)


def evaluated(model: MaskRCNN, dataset: DetectionDataset, **settings: Any) -> Evaluation | None:
    """Evaluate with a log on the screen; with several processes call it in all.

    Args:
        settings: of `evaluate`.

    Returns:
        what was found; None in processes beside the main one.
    """
    from ..engine.logs import run_log
    from ..processes import is_main

    with run_log() if is_main() else nullcontext():
        evaluation = model.full_evaluation(dataset, **settings)
    return evaluation if is_main() else None
