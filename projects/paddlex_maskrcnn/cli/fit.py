"""``fit``: from labelled pictures to a trained and evaluated model, with a report, in one command.

The same as `init` and `train` one after the other; the experiment file that is written first can be used by
hand as well.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.dataset_params import JOINED, DatasetChoice
from ..config.schema import WEIGHT_NAMES
from ..requirements import require_detectron2
from .experiment import add_overrides
from .init import add_source_arguments, init, output_folder

if TYPE_CHECKING:
    from ..config.auto_rules import Budget
    from ..config.load import LoadedExperiment
    from ..maskrcnn import MaskRCNN
    from .train import Training

HELP = "from labelled pictures to a trained and evaluated Mask R-CNN, in one command"

# options -> defaults, of those that count when the experiment is drafted
_WHEN_DRAFTED = {"val": 0.2, "seed": 0, "type": None, "skip_invalid": False}
_TRIAL_SECONDS, _SHARE_OF_TRIAL = 20.0, 0.05  # of the time
_SHARE_OF_EVALUATION, _SHARE_OF_PICTURES = 0.2, 0.05  # of the time, at most
_SHARE_OF_PAGE, _SECONDS_OF_PAGE = 0.03, 10.0  # of the time, for pictures and page at the end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="time for everything; a short trial shows how many epochs fit into it",
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
    """Train a model on labelled pictures; a run that was interrupted goes on.

    Args:
        source: folder, archive or annotation file, in any format that `init` reads.
        output: folder for the experiment file, the split and the run; by default output/NAME.
        minutes: for everything, from this call to its end; None leaves the length to `epochs`.
        epochs: passes over the training images; None: chosen by the number of images, or by `minutes`.
        type: of the data set, such as "CocoDetection", where the source holds several formats.
        val: share of the images held out, where the source has no such part.
        seed: of the split.
        skip_invalid: leave out annotations that cannot be used, instead of stopping.
        settings: `section.key=value` texts, which win over the experiment file.

    Returns:
        the best model, ready to predict.

    Raises:
        ValueError: for mistakes that are seen before training, with what to do.
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
    if minutes is not None and not 0 < minutes < math.inf:
        raise ValueError(f"minutes is {minutes}; a number above 0 is needed")
    if minutes is not None and epochs is not None:
        raise ValueError("minutes and epochs both say how long to train; give one of them")
    config = _experiment(options)
    overrides = [*settings, *([f"train.num_epochs={epochs}"] if epochs is not None else [])]
    deadline = None if minutes is None else started + 60 * minutes
    return _trained(config, overrides, deadline)


def _experiment(options: argparse.Namespace) -> Path:
    """The experiment file, drafted where there is none."""
    from ..draft import EXPERIMENT, source_of

    config = output_folder(options) / EXPERIMENT
    if not config.is_file():
        return init(options) / EXPERIMENT
    there, wanted = source_of(config), options.source.absolute()
    if there is not None and Path(there).resolve() != wanted.resolve():
        raise ValueError(
            f"{str(config)!r} is an experiment with {there}, not with {wanted}: name another --output"
        )
    print(f"{config} exists and is used as it is")
    given = [
        f"--{name.replace('_', '-')}"
        for name, usual in _WHEN_DRAFTED.items()
        if getattr(options, name) != usual
    ]
    if given:
        print(f"  {', '.join(given)}: no effect on this file; init --force drafts a new one")
    if unlisted := _unlisted(config):
        first, more = unlisted[0], f" and {len(unlisted) - 1} more" if len(unlisted) > 1 else ""
        print(
            f"  in neither part of the split, and not used: {first}{more}; init --force makes a new "
            "split, --output DIR another experiment"
        )
    return config


def _unlisted(config: Path) -> list[str]:
    """Images of the source that came after the split."""
    from ..config.load import load_experiment
    from ..datasets import open_dataset

    data = load_experiment(str(config)).experiment.data
    listed: set[str] = set()
    whole: dict[str, Any] = {}  # each data set of which some images are listed
    for choice in (*_parts(data.train), *_parts(data.eval)):
        if getattr(choice.arguments, "image_list", None):
            listed |= {record["file_name"] for record in open_dataset(choice).records}
            arguments = replace(choice.arguments, image_list=None, shuffle=False)
            whole[repr(arguments)] = replace(choice, arguments=arguments)
    files = (
        record["file_name"] for choice in whole.values() for record in open_dataset(choice).records
    )
    return [file for file in files if file not in listed]


def _parts(choice: DatasetChoice | None) -> list[DatasetChoice]:
    """A data set, or those that it joins."""
    if choice is None:
        return []
    return choice.arguments.parts if choice.type == JOINED else [choice]


def _trained(config: Path, overrides: list[str], deadline: float | None) -> MaskRCNN:
    """The best model of the run that an experiment file asks for."""
    from .. import load_model
    from ..config.load import load_experiment
    from ..config.yaml_io import read
    from ..engine.run_folder import BEST_MODEL, CONFIG, folder_of, models_in
    from .train import Training

    loaded = load_experiment(str(config), overrides)
    train = loaded.experiment.train
    if train is None:
        raise ValueError(f"{config} has no section train")
    goes_on = train.if_exists != "overwrite" and models_in(folder_of(train))
    record = folder_of(train) / CONFIG if goes_on else None
    if record is not None:
        print(f"the run in {record.parent} goes on")
        loaded = load_experiment(str(config), [*overrides, "train.resume_checkpoint=auto"])
    before = read(record)[0] if record is not None and record.is_file() else {}
    loaded = _with_weights(loaded, before)
    command = shlex.join(["paddlex-maskrcnn", "check", "--config", str(config)])
    training = Training(loaded, command)
    budget = None
    if record is not None:
        _evaluate_as_before(training, before)
    elif deadline is not None:
        budget = _planned(training, deadline, config.parent)
    if deadline is not None:
        training.limit(_minutes_left(deadline))
    model = training.run(budget)
    assert model.save_dir is not None
    saved = model.save_dir / BEST_MODEL
    if saved.is_dir():
        model = load_model(saved, loaded.experiment.model.device)
    else:  # nothing was held out
        saved = _newest(saved.parent, model.completed_epochs)
    print(_ending(config, saved, model))
    return model


def _newest(run: Path, epochs: int) -> Path:
    """The model directory of a run's last step; `latest` is there only if that was within an epoch."""
    from ..engine.run_folder import LATEST

    latest = run / LATEST
    return latest if latest.is_dir() else run / f"epoch_{epochs}"


def _with_weights(loaded: LoadedExperiment, before: Mapping[str, Any]) -> LoadedExperiment:
    """The best starting weights that can be had, where the file names a kind as `init` does.

    What the user names on the command line is not replaced, and nothing by a better kind.

    Args:
        before: config.yaml of the run that goes on, whose weights count; empty for a new one.
    """
    from ..weights.choice import choose_weights

    key, experiment = "train.pretrain_weights", loaded.experiment
    train = experiment.train
    assert train is not None
    if train.pretrain_weights not in WEIGHT_NAMES or loaded.origins.get(key) == "command line":
        return loaded
    if before:
        value, reason = before["train"]["pretrain_weights"], "as when the run began"
    else:
        model = experiment.model
        weights = choose_weights(model.backbone, model.with_fpn, best=train.pretrain_weights)
        value, reason = weights.value, weights.reason
        print(f"starting weights: {weights}")
    train = replace(train, pretrain_weights=value)
    reasons = experiment.reasons | {key: reason}
    return replace(loaded, experiment=replace(experiment, train=train, reasons=reasons))


def _planned(training: Training, deadline: float, folder: Path) -> Budget:
    """How many seconds there are for steps and evaluations, and what each takes here.

    Where the held-out images are too many or too crowded for the time, some of them are evaluated.

    Args:
        folder: of the experiment, for the list of these.
    """
    from ..config.auto_rules import Budget
    from ..data.datasets.image_list import as_text

    left = deadline - time.monotonic()
    if left <= 0:
        raise ValueError("the time is over before the first step: give it more minutes")
    pace = training.pace(min(_TRIAL_SECONDS, _SHARE_OF_TRIAL * left))
    left, images = 60 * _minutes_left(deadline), training.num_held_out
    fitting = left / max(pace.seconds_per_image, 1e-9)  # images, if nothing else were done
    training.show(max(1, int(_SHARE_OF_PICTURES * fitting)))
    most = max(1, int(_SHARE_OF_EVALUATION * fitting))
    if most < images and training.takes_a_list:
        file = folder / f"val_{most}.txt"
        names = training.datasets["eval"].image_names()
        file.write_text(as_text(_spread(names, most)), encoding="utf-8")
        training.evaluate_on(file)
        minutes = pace.seconds_per_image * images / 60
        print(
            f"evaluating all {images} held-out images would take {minutes:.1f} minutes: only {most} of them "
            f"are evaluated ({file})"
        )
    evaluation = pace.seconds_per_image * training.num_held_out
    if "train.num_epochs" not in training.loaded.experiment.auto:
        print(
            f"the number of epochs is given: the run ends after them, or after {left / 60:.1f} minutes"
        )
    print(
        f"a step takes {pace.seconds_per_step:.2f} s here, an evaluation {evaluation:.0f} s; "
        f"{left / 60:.1f} minutes are left for both"
    )
    return Budget(left, pace.seconds_per_step, evaluation)


def _spread(names: Sequence[str], count: int) -> list[str]:
    """So many of them, at equal distances."""
    return [names[k * len(names) // count] for k in range(count)]


def _evaluate_as_before(training: Training, before: Mapping[str, Any]) -> None:
    """The held-out images of the run that goes on, which its time may have limited.

    Args:
        before: its config.yaml.
    """
    then = (before.get("data") or {}).get("eval") or {}
    choice = training.loaded.experiment.data.eval
    now = getattr(choice.arguments, "image_list", None) if choice else None
    if isinstance(then, dict) and training.takes_a_list and then.get("image_list") != now:
        training.evaluate_on(then.get("image_list"))


def _minutes_left(deadline: float) -> float:
    """For steps and evaluations: without the page, and never nothing."""
    left = deadline - time.monotonic()
    return max(left * (1 - _SHARE_OF_PAGE) - _SECONDS_OF_PAGE, _SHARE_OF_PAGE * left, 1.0) / 60


def _ending(config: Path, saved: Path, model: MaskRCNN) -> str:
    """What the model reaches, where everything is, and the command for the next picture."""
    lines = [("model", str(saved))]
    if metrics := model.eval_metrics:
        shown = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        lines.append(("accuracy", f"{shown} (epoch {model.completed_epochs})"))
    shown_in = {"pictures": saved.parent / "pictures", "page": saved.parent / "report.html"}
    lines += [(name, str(path)) for name, path in shown_in.items() if path.exists()]
    lines.append(("settings", str(config)))
    lines.append(("predict", f"paddlex-maskrcnn predict {shlex.quote(str(saved))} PICTURE"))
    return "\n".join(f"{name:<10}{text}" for name, text in lines)
