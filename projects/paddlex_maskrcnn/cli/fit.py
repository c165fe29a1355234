"""``fit``: labelled pictures to a trained, evaluated, visible model in one command.

The same as `init`, `check`, `train` and its page one after the other; each of them can be gone on with by
hand, from the experiment file that is written first.
"""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..requirements import require_detectron2
from .experiment import add_overrides
from .init import add_source_arguments, init, output_folder

if TYPE_CHECKING:
    from ..config.auto_rules import Budget
    from ..config.load import LoadedExperiment
    from ..maskrcnn import MaskRCNN

HELP = "train, evaluate and show a Mask R-CNN of labelled pictures, with one command"

_SHARE_OF_PAGE, _SECONDS_OF_PAGE = 0.03, 10.0  # of the time, for pictures and page at the end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="time for everything; as many epochs are planned as fit, from a timed trial",
    )
    length.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    add_overrides(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, and say where everything is."""
    fit(
        arguments.source,
        output=arguments.output,
        minutes=arguments.minutes,
        epochs=arguments.epochs,
        type=arguments.type,
        val=arguments.val,
        seed=arguments.seed,
        skip_invalid=arguments.skip_invalid,
        settings=arguments.overrides,
    )
    return 0


def fit(
    source: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    type: str | None = None,
    val: float = 0.2,
    seed: int = 0,
    skip_invalid: bool = False,
    settings: Sequence[str] = (),
) -> MaskRCNN:
    """Train a model of labelled pictures; a run that was interrupted goes on.

    Args:
        source: folder, archive or annotation file, in any format that `init` knows.
        output: folder for the experiment file, the split and the run; by default output/NAME.
        minutes: for everything, from this call to its end; None leaves the length to `epochs`.
        epochs: passes over the training images; None: as many as their number asks for.
        type: the data set's class, where the source holds several formats.
        val: share of the images held out, where the source has no such part.
        seed: of the split.
        skip_invalid: leave out annotations that cannot be used, instead of stopping.
        settings: `section.key=value` texts, which win over the experiment file.

    Returns:
        the best model, ready to predict.

    Raises:
        ValueError: for everything that can be seen before training, in one sentence each.
    """
    started = time.monotonic()
    require_detectron2()
    options = argparse.Namespace(
        source=Path(source),
        output=Path(output) if output is not None else None,
        type=type,
        val=val,
        seed=seed,
        skip_invalid=skip_invalid,
    )
    if minutes is not None and not minutes > 0:
        raise ValueError(f"minutes is {minutes}; more than 0 are needed")
    if minutes is not None and epochs is not None:
        raise ValueError("minutes and epochs both say how long to train; give one of them")
    config = _experiment(options)
    overrides = [*settings, "train.resume_checkpoint=auto"]
    overrides += [f"train.num_epochs={epochs}"] if epochs is not None else []
    deadline = None if minutes is None else started + 60 * minutes
    return _trained(config, overrides, deadline)


def _experiment(options: argparse.Namespace) -> Path:
    """The experiment file, drafted where there is none."""
    from ..draft import EXPERIMENT, source_of

    config = output_folder(options) / EXPERIMENT
    if not config.is_file():
        return init(options) / EXPERIMENT
    there, wanted = source_of(config), str(options.source.absolute())
    if there is not None and there != wanted:
        raise ValueError(
            f"{str(config)!r} is an experiment with {there}, not with {wanted}: name another --output"
        )
    print(f"{config} is there and is used as it is")
    return config


def _trained(config: Path, overrides: list[str], deadline: float | None) -> MaskRCNN:
    """The best model of the run that the experiment file asks for."""
    from .. import load_model
    from ..config.load import load_experiment
    from ..engine.run_folder import folder_of, models_in
    from .train import run_experiment

    loaded = load_experiment(str(config), overrides)
    train = loaded.experiment.train
    if train is None:
        raise ValueError(f"{config} has no section train")
    goes_on = bool(models_in(folder_of(train)))
    if not goes_on:
        loaded = _with_weights(loaded)
    experiment = _planned(loaded, deadline, goes_on)
    check = shlex.join(["paddlex-maskrcnn", "check", "--config", str(config)])
    run_dir = run_experiment(experiment, check).save_dir
    assert run_dir is not None
    best = run_dir / "best_model"
    print(_ending(config, run_dir, best))
    return load_model(best, loaded.experiment.model.device)
