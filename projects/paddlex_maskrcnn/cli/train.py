"""``train``: an experiment file to a trained, evaluated, visible model. ``train_net.py`` is this command."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.auto_rules import Choice
from ..config.load import with_choices
from ..requirements import require_detectron2
from .experiment import (
    Once,
    add_overrides,
    blamed,
    evaluated,
    open_dataset,
    preview_auto,
    resolve_auto,
)
from .processes import is_launched, join, was_restarted

if TYPE_CHECKING:
    from ..config.auto_rules import Budget
    from ..config.load import LoadedExperiment
    from ..config.schema import TrainParams
    from ..data.datasets.base import DetectionDataset
    from ..engine.train import DryRun
    from ..engine.trial import Pace
    from ..maskrcnn import MaskRCNN

HELP = "train, evaluate and show a Mask R-CNN as an experiment file says"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", required=True, action=Once, metavar="FILE", help="YAML experiment file"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on from the newest saved state")
    existing.add_argument(
        "--overwrite", action="store_true", help="replace the run that save_dir holds"
    )
    parser.add_argument(
        "--allow-changes",
        action="store_true",
        help="with --resume: also with other settings or data",
    )
    parser.add_argument(
        "--num-gpus",
        type=int,
        default=1,
        metavar="N",
        help="train in N processes of this machine, one a GPU (on a CPU: N processes)",
    )
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--eval-only", action="store_true", help="evaluate a saved model")
    modes.add_argument(
        "--print-config", action="store_true", help="show every value and its origin"
    )
    modes.add_argument("--dry-run", action="store_true", help="build everything and take one step")
    parser.add_argument(
        "--model", metavar="DIR", help="with --eval-only: the model (default: save_dir/best_model)"
    )
    add_overrides(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0, or an error raised for the caller to explain."""
    from ..config.load import load_experiment

    _check_together(arguments)
    overrides = list(arguments.overrides)
    # torchrun starts the processes again with the same arguments: they go on from what was saved
    if arguments.resume or was_restarted():
        overrides.append("train.resume_checkpoint=auto")
    if arguments.overwrite:
        overrides.append("train.if_exists=overwrite")
    if arguments.allow_changes:
        overrides.append("train.allow_changes=true")
    loaded = load_experiment(arguments.config, overrides)
    if arguments.print_config:
        from ..config.show import show

        print(show(_with_auto(loaded, arguments.num_gpus)), end="")
        return 0
    require_detectron2()
    if arguments.num_gpus > 1 and not is_launched():
        from ..processes import launch

        return launch(arguments.num_gpus, as_command(arguments))
    if is_launched():
        join(loaded.experiment.model.device)
    if arguments.eval_only:
        return _evaluate(loaded, arguments.model)
    return _train(loaded, arguments)


def _with_auto(loaded: LoadedExperiment, processes: int) -> LoadedExperiment:
    """With values in place of `auto` where the data can be opened."""
    try:
        return preview_auto(loaded, {}, processes)
    except (ValueError, OSError) as error:
        print(
            f"# auto is chosen when training starts; the data cannot be opened yet: {_first_line(error)}"
        )
        return loaded


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _check_together(arguments: argparse.Namespace) -> None:
    """Raise ValueError for arguments that have no meaning without another one."""
    if arguments.model and not arguments.eval_only:
        raise ValueError(
            f"--model {arguments.model} is for --eval-only; to train from its weights write "
            f"train.pretrain_weights={arguments.model}"
        )
    resumes = arguments.resume or any("resume_checkpoint" in text for text in arguments.overrides)
    if arguments.allow_changes and not resumes and not was_restarted():
        raise ValueError("--allow-changes is for --resume: a new run has nothing to differ from")


def as_command(arguments: argparse.Namespace) -> list[str]:
    """The command that does the same in one of several processes."""
    flags = ("resume", "overwrite", "allow_changes", "eval_only", "dry_run")
    command = ["train", "--config", arguments.config]
    command += [f"--{flag.replace('_', '-')}" for flag in flags if getattr(arguments, flag)]
    command += ["--model", arguments.model] if arguments.model else []
    return command + list(arguments.overrides)


def _train(loaded: LoadedExperiment, arguments: argparse.Namespace) -> int:
    from ..processes import is_main

    check_command = _check_command(arguments)
    if arguments.dry_run:
        result = Training(loaded, check_command).dry_run()
        if is_main():
            print(result)
        return 0
    Training(loaded, check_command).run()
    return 0


class Training:
    """A run of an experiment, and what is shown of its best model; call everything in all processes.

    Attributes:
        loaded: the experiment, with values in place of `auto` once it ran.
        datasets: `train`, and `eval` where there is held-out data.
    """

    def __init__(self, loaded: LoadedExperiment, check_command: str) -> None:
        """Open the data.

        Args:
            check_command: what the user can type to see all that is wrong with it.

        Raises:
            ValueError: when something is missing, or with all that is wrong with the data.
        """
        from ..processes import main_first

        experiment = loaded.experiment
        for key, value in (("train", experiment.train), ("data.train", experiment.data.train)):
            if value is None:
                raise ValueError(f"{key} is missing: training needs it")
        self.loaded, self._check_command = loaded, check_command
        with main_first():  # a data set may draw itself
            self.datasets = {"train": open_dataset(loaded, "train")}
            if experiment.data.eval:
                self.datasets["eval"] = open_dataset(loaded, "eval")

    def dry_run(self) -> DryRun:
        """Build everything and take one step."""
        from ..config.signature import call_checked

        model, params = self._model_and_params()
        with blamed(self.loaded, "train.pretrain_weights"):
            return call_checked(model.dry_run, params)

    def pace(self, seconds: float) -> Pace:
        """What steps and evaluation take, from a trial of about so many seconds.

        Where the batch may be chosen, one that does not fit into memory is halved for the run too.

        Raises:
            ValueError: when the batch was given and does not fit.
        """
        model, params = self._model_and_params()
        with blamed(self.loaded, "train.pretrain_weights"):
            fitting, pace = model.pace(params, seconds)
        key, given = "train.train_batch_size", params.train_batch_size
        if fitting < given:
            if key not in self.loaded.experiment.auto:
                raise ValueError(
                    f"{key} is {given}, which does not fit into memory; {fitting} does"
                )
            choice = Choice(fitting, f"{given} did not fit into memory")
            self.loaded = with_choices(self.loaded, {key: choice})
        return pace

    @property
    def num_held_out(self) -> int:
        return self.datasets["eval"].num_samples if "eval" in self.datasets else 0

    @property
    def takes_a_list(self) -> bool:
        """Whether the held-out data can be a list of some of its images."""
        choice = self.loaded.experiment.data.eval
        return choice is not None and hasattr(choice.arguments, "image_list")

    def evaluate_on(self, image_list: str | Path | None) -> None:
        """Hold out only the images of a list; None: all that the data set has."""
        data = self.loaded.experiment.data
        assert data.eval is not None
        listed = None if image_list is None else str(image_list)
        choice = replace(data.eval, arguments=replace(data.eval.arguments, image_list=listed))
        self._change(data=replace(data, eval=choice))
        self.datasets["eval"] = open_dataset(self.loaded, "eval")

    def show(self, most: int) -> None:
        """Draw at most so many pictures after training."""
        predict = self.loaded.experiment.predict
        self._change(predict=replace(predict, num_pictures=min(most, predict.num_pictures)))

    def limit(self, minutes: float) -> None:
        """End the run in so many minutes, or at the experiment's own limit where that is earlier."""
        train = self.loaded.experiment.train
        assert train is not None
        if train.max_minutes is None or train.max_minutes > minutes:
            self._change(train=replace(train, max_minutes=minutes))

    def _change(self, **sections: Any) -> None:
        experiment = replace(self.loaded.experiment, **sections)
        self.loaded = replace(self.loaded, experiment=experiment)

    def run(self, budget: Budget | None = None) -> MaskRCNN:
        """Train, write pictures and page; the network as it was after the last step."""
        from ..config.signature import call_checked
        from ..processes import is_main

        self.loaded = resolve_auto(self.loaded, self.datasets, budget)
        model, params = self._model_and_params()
        given = {key[6:] for key in self.loaded.origins if key.startswith("train.")}
        with blamed(self.loaded, "train.pretrain_weights"):
            call_checked(model.train, params, given)
        eval_dataset = self.datasets.get("eval")
        if eval_dataset is not None:
            assert model.save_dir is not None
            if is_main():
                _show_pictures(model, eval_dataset, self.loaded, model.save_dir)
            _report_best(model, eval_dataset, self.loaded, model.save_dir)
        return model

    def _model_and_params(self) -> tuple[MaskRCNN, TrainParams]:
        loaded = resolve_auto(self.loaded, self.datasets)
        train = loaded.experiment.train
        assert train is not None
        params = replace(
            train, train_dataset=self.datasets["train"], eval_dataset=self.datasets.get("eval")
        )
        return _new_model(loaded, self._check_command), params


def _evaluate(loaded: LoadedExperiment, model_dir: str | None) -> int:
    from .. import load_model
    from ..engine.run_folder import folder_of
    from ..processes import is_main

    experiment = loaded.experiment
    if experiment.data.eval is None:
        raise ValueError("data.eval is missing: --eval-only needs held-out data")
    save_dir = folder_of(experiment.train) if experiment.train else Path("output")
    model = load_model(model_dir or save_dir / "best_model", experiment.model.device)
    dataset = open_dataset(loaded, "eval")
    if experiment.predict.report:
        _report(model, dataset, save_dir, Path(model_dir) if model_dir else None, loaded)
    else:
        evaluation = evaluated(model, dataset, experiment.evaluate)
        if evaluation is not None:
            evaluation.write(save_dir / "evaluation", dataset)
    if is_main():
        _show_pictures(model, dataset, loaded, save_dir)
    return 0


def _report_best(
    model: MaskRCNN, dataset: DetectionDataset, loaded: LoadedExperiment, run_dir: Path
) -> None:
    """The page of a run's best model, in all processes; none of a run that never evaluated.

    A run that was resumed after its best evaluation no longer has the results: it evaluates again.
    """
    from .. import load_model
    from ..processes import is_main
    from ..report.run_report import write_evaluation

    best = run_dir / "best_model"
    if not (loaded.experiment.predict.report and best.is_dir()):
        return
    if model.best_evaluation is None:
        best_model = load_model(best, loaded.experiment.model.device)
        _report(best_model, dataset, run_dir, best, loaded)
    elif is_main():
        metric = loaded.experiment.evaluate.metric or model.best_evaluation.metric
        best_evaluation = replace(model.best_evaluation, metric=metric)
        page = write_evaluation(best_evaluation, dataset, run_dir, model_dir=best)
        print(f"The page is {page}")


def _report(
    model: MaskRCNN,
    dataset: DetectionDataset,
    run_dir: Path,
    model_dir: Path | None,
    loaded: LoadedExperiment,
) -> None:
    from ..report.run_report import write_evaluation

    evaluation = evaluated(model, dataset, loaded.experiment.evaluate)
    if evaluation is not None:
        page = write_evaluation(evaluation, dataset, run_dir, model_dir=model_dir)
        print(f"The page is {page}")


def _new_model(loaded: LoadedExperiment, check_command: str) -> MaskRCNN:
    from .. import MaskRCNN

    given = {key.partition(".")[2] for key in loaded.origins if key.startswith("model.")}
    return MaskRCNN.from_experiment(loaded.experiment, given, check_command)


def _check_command(arguments: argparse.Namespace) -> str:
    """The command that shows what is in the data of this one."""
    command = ["paddlex-maskrcnn", "check", "--config", arguments.config, *arguments.overrides]
    return shlex.join(command)


def _show_pictures(
    model: MaskRCNN, dataset: DetectionDataset, loaded: LoadedExperiment, run_dir: Path
) -> None:
    from ..report.comparisons import write_comparisons

    predict, folder = loaded.experiment.predict, run_dir / "pictures"
    written = write_comparisons(
        model.predict, dataset, folder, predict.num_pictures, predict.picture_threshold
    )
    if written:
        print(f"{len(written)} pictures of truth (left) and predictions (right) in {folder}")
