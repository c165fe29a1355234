"""Training a prepared run to its end, from its first step or a resumed one; and the dry run of one step."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase

from ..acceleration import PLAIN_VARIABLE, accelerate, asks_for_plain
from ..config.auto import lines_of
from ..config.check import AUTO
from ..config.yaml_io import dump_with_comments
from ..inference.evaluate import evaluate_network
from ..inference.model_directory import finish_interrupted_saves
from ..metrics.evaluation import Evaluation
from ..processes import (
    across_processes,
    from_main,
    is_main,
    shard,
    wait_for_all,
)
from ..progress import as_clock
from .checkpoints import (
    Checkpoints,
    bring_best_model,
    disk_errors_explained,
    new_run_id,
    write_run_id,
)
from .compiled import compile_parts, drop_compiled
from .device import channels_first, match_layouts, on_device, usual_layout
from .failures import TrainingDivergedError
from .hooks import (
    Best,
    EpochEnd,
    EpochResult,
    LogLines,
    ProgressBar,
    SaveWhenStopped,
    peak_memory_mb,
)
from .logs import MetricsLog, NoMetricsLog, open_loggers, open_visualdl, run_log
from .resume import restore, restore_random_state, resume_state
from .run_folder import CONFIG, clear, folder_to_write, is_inside, locked, refuse_other_run
from .setup import TrainingRun, check_writable
from .time_limit import TimeLimit
from .trainer import Trainer
from .validation_loss import validation_losses

logger = logging.getLogger(__name__)


def train(
    run: TrainingRun, experiment: dict[str, Any], reasons: Mapping[str, str] | None = None
) -> Evaluation | None:
    """Train to the end; the network is left in evaluation mode, with averaged weights if asked for.

    Writes model directories, config.yaml, train.log and metrics into the run's save_dir. Returns the
    evaluation of the best model; None when this call did not evaluate it.

    Args:
        run: as `set_up` returned it.
        experiment: the resolved settings, written down for the record.
        reasons: full key -> why its value was chosen, of those that the file left to the run (`auto`).

    Raises:
        ValueError: when save_dir cannot be written to or the checkpoint is of another run.
        TrainingDivergedError: when the loss is no longer finite.
        TrainingTroubleError: when memory, disk or a data process is gone.
        RunInterruptedError: after SIGTERM or Ctrl-C, when all is saved.
    """
    best = Best(lower_is_better=run.params.best_metric == "val_loss")
    evaluation = None
    with (
        _claimed_folder(run) as save_dir,
        disk_errors_explained(save_dir),
        run_log(save_dir),
    ):
        run_id = _resumed(run, best) if run.resume_from else from_main(new_run_id())
        if is_main():
            write_run_id(save_dir, run_id)
        experiment = _with_folder(experiment, save_dir)
        done = run.network.card.completed_epochs
        if run.progress.is_finished:
            logger.info("Nothing left to do: %d of %d epochs are done", done, run.params.num_epochs)
        elif run.params.early_stop and best.waited >= run.params.early_stop_patience:
            logger.info("Nothing left to do: the run was stopped early after epoch %d", done)
        else:
            if is_main():
                _write_config(save_dir, experiment, reasons or {})
            evaluation = _run_steps(run, best, run_id, experiment)
    # the network that is left predicts: not compiled, accelerated, average weights, channels first
    drop_compiled(run.network.module)
    accelerate(run.network.module)
    if run.ema is not None:
        run.ema.swap()
    channels_first(run.network.module)
    run.network.set_training(False)
    wait_for_all()  # nobody reads a model directory that the main process is still writing
    return evaluation


def _write_config(save_dir: Path, experiment: dict[str, Any], reasons: Mapping[str, str]) -> None:
    """The settings of the run; of values that it has chosen the reasons too, which the log has as well."""
    for line in lines_of(experiment, reasons):
        logger.info(line)
    comments = {key: f"{AUTO}: {reason}" for key, reason in reasons.items()}
    text = dump_with_comments(experiment, comments)
    (save_dir / CONFIG).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _claimed_folder(run: TrainingRun) -> Iterator[Path]:
    """The folder of the run, this run's alone while the block lasts; `save_dir` names it from then on."""
    with contextlib.ExitStack() as stack:
        folder = Path()
        if is_main():
            folder = folder_to_write(run.params, run.resume_from)
            check_writable(folder)
            stack.enter_context(locked(folder))
            if not is_inside(run.resume_from, folder):
                refuse_other_run(run.params)  # another run may have ended in the meantime
                if run.params.if_exists == "overwrite":
                    clear(folder)
        run.params = replace(run.params, save_dir=from_main(str(folder)))
        yield Path(run.params.save_dir)


def _with_folder(experiment: dict[str, Any], save_dir: Path) -> dict[str, Any]:
    """The settings for the record, with the folder that was chosen."""
    return experiment | {"train": {**experiment["train"], "save_dir": str(save_dir)}}


def _resumed(run: TrainingRun, best: Best) -> str:
    """The id of the run that goes on."""
    assert run.resume_from is not None
    run_id = restore(run, best, run.resume_from)
    match_layouts(run.optimizer)  # load_state_dict keeps the memory format of the checkpoint
    logger.info("Resumed from %s, after step %d", run.resume_from, run.progress.step)
    wait_for_all()  # all have read it
    if is_main():
        save_dir = Path(run.params.save_dir)
        finish_interrupted_saves(save_dir)
        bring_best_model(run.resume_from.parent, save_dir, best.epoch)
    return run_id


def _run_steps(
    run: TrainingRun, best: Best, run_id: str, experiment: dict[str, Any]
) -> Evaluation | None:
    _announce(run)
    metrics = _open_metrics(run, run_id)
    checkpoints = Checkpoints(
        Path(run.params.save_dir),
        run.network,
        experiment=experiment,
        state=lambda: resume_state(run, best, run_id),
        ema=run.ema,
    )
    epoch_end = _epoch_end(run, best, metrics, checkpoints)
    started = time.perf_counter()
    steps_left = run.progress.total_steps - run.progress.step
    try:
        with on_device(run.batches(), run.network.device, steps_left) as batches:
            trainer = build_trainer(run, batches)
            trainer.register_hooks(_hooks(run, metrics, checkpoints, epoch_end))
            # last: the iterator of a loader draws a number when it is made
            restore_random_state(run.random_state)
            trainer.run()
    except TrainingDivergedError as error:
        raise _with_report(error, Path(run.params.save_dir)) from error
    finally:
        metrics.close()
    if trainer.stop_reason:
        logger.info(trainer.stop_reason)
    logger.info("Training took %s", as_clock(time.perf_counter() - started))
    return epoch_end.best_evaluation


def build_trainer(run: TrainingRun, batches: Iterator[list[dict[str, Any]]]) -> Trainer:
    """The trainer of a run, without hooks.

    Args:
        batches: Detectron2's input dicts, a list for each step.
    """
    if run.params.compile:
        checkpointed = run.network.card.params.gradient_checkpointing
        compile_parts(run.network.module, checkpointed=checkpointed)
    return Trainer(
        run.network, run.optimizer, run.schedule, batches, run.progress,
        model=across_processes(run.network.module), precision=run.precision, ema=run.ema,
        clip_gradients=run.params.clip_gradients, accumulate=run.params.accumulate,
    )  # fmt: skip


def _open_metrics(run: TrainingRun, run_id: str) -> MetricsLog:
    if not is_main():
        return NoMetricsLog()
    params, save_dir = run.params, Path(run.params.save_dir)
    writers = open_loggers(params.loggers, save_dir, run_id, run.settings)
    if params.use_vdl:
        writers += open_visualdl(save_dir / "vdl_log", run.progress.steps_per_epoch)
    return MetricsLog(save_dir, run.progress, writers)


def _with_report(error: TrainingDivergedError, save_dir: Path) -> TrainingDivergedError:
    path = error.write(save_dir)
    return TrainingDivergedError(
        f"{error}. Images, losses and gradient norms are in {path}; --resume goes on from the newest "
        "save before",
        error.report,
    )


def _hooks(
    run: TrainingRun, metrics: MetricsLog, checkpoints: Checkpoints, epoch_end: EpochEnd
) -> list[HookBase]:
    """In the order they act: the line of an epoch's last step stands before its evaluation."""
    params = run.params
    hooks: list[HookBase] = [
        LogLines(metrics, params.log_interval_steps, params.train_batch_size),
        epoch_end,
        SaveWhenStopped(checkpoints, params.save_interval_steps),
    ]
    if sys.stderr.isatty() and is_main():
        hooks.insert(0, ProgressBar())  # before the log lines, so that the bar shows their step
    return hooks


def _epoch_end(
    run: TrainingRun, best: Best, metrics: MetricsLog, checkpoints: Checkpoints
) -> EpochEnd:
    params = run.params
    return EpochEnd(
        checkpoints,
        interval=params.save_interval_epochs,
        best=best,
        best_metric=params.best_metric,
        metrics=metrics,
        evaluate=_evaluator(run),
        patience=params.early_stop_patience if params.early_stop else None,
        keep_last=params.keep_last,
        limit=TimeLimit(
            params.max_minutes,
            first_step=run.progress.step,
            batch_size=params.train_batch_size,
            held_out=run.eval_dataset.num_samples if run.eval_dataset is not None else 0,
        ),
    )


def _evaluator(run: TrainingRun) -> Callable[[], EpochResult] | None:
    dataset = run.eval_dataset
    if dataset is None:
        return None
    with_loss = run.params.validation_loss or run.params.best_metric == "val_loss"

    def evaluate() -> EpochResult:
        metric = run.network.card.metric or "COCO"
        logger.info("Start to evaluate %d images...", dataset.num_samples)
        averaged = run.ema.averaged() if run.ema else contextlib.nullcontext()
        with averaged, usual_layout(run.network.module):
            evaluation = evaluate_network(run.network, dataset, run.eval_transforms, metric=metric)
            losses = {}
            if with_loss:
                losses = validation_losses(
                    run.network, dataset, run.eval_transforms, run.params.seed
                )
        return EpochResult(evaluation, losses, partial(evaluation.write_details, dataset=dataset))

    return evaluate


def _announce(run: TrainingRun) -> None:
    for dataset in filter(None, (run.train_dataset, run.eval_dataset)):
        logger.info(dataset.describe())
    trainable = sum(p.numel() for p in run.network.module.parameters() if p.requires_grad)
    logger.info("Weights: %s", run.weights)
    processes = shard()[1]
    logger.info(
        "%d epochs of %d steps on %s%s, %.1f million trainable parameters",
        run.progress.num_epochs, run.progress.steps_per_epoch, run.network.device,
        f" in {processes} processes" if processes > 1 else "", trainable / 1e6,
    )  # fmt: skip
    if asks_for_plain():
        logger.info(
            "%s is set: all is computed in Detectron2's way, which is slower", PLAIN_VARIABLE
        )
    if run.params.amp == "fp16" and run.network.device.type == "cpu":
        logger.warning(
            "train.amp is fp16 on a CPU, which has no fast arithmetic of that kind: steps are slower "
            "than with off"
        )
    if run.params.compile and run.network.device.type == "cpu":
        logger.warning(
            "train.compile on a CPU: minutes of compiling, and steps that are no faster "
            "(docs/speed_switches.md)"
        )


@dataclass(frozen=True)
class DryRun:
    """What one step showed.

    Attributes:
        steps_per_epoch, total_steps: of the whole run.
        parameters, trainable: numbers of parameters.
        loss: of the first step.
        seconds: the step took, its data included; the first one is slower than the rest.
        memory_mb: peak, of the GPU when there is one.
    """

    steps_per_epoch: int
    total_steps: int
    parameters: int
    trainable: int
    loss: float
    seconds: float
    memory_mb: float
    weights: str
    device: str

    def __str__(self) -> str:
        return (
            f"device           {self.device}\n"
            f"weights          {self.weights}\n"
            f"parameters       {self.parameters:,} ({self.trainable:,} train)\n"
            f"steps            {self.total_steps} ({self.steps_per_epoch} an epoch)\n"
            f"first loss       {self.loss:.4f}\n"
            f"first step       {self.seconds:.2f} s; at this pace the run takes at most "
            f"{as_clock(self.seconds * self.total_steps)}\n"
            f"peak memory      {self.memory_mb:.0f} MiB"
        )


def dry_run(run: TrainingRun) -> DryRun:
    """Take one optimizer step of a prepared run."""
    trainer = Trainer(
        run.network, run.optimizer, run.schedule, run.batches(), run.progress,
        precision=run.precision, clip_gradients=run.params.clip_gradients,
        accumulate=run.params.accumulate,
    )  # fmt: skip
    total, per_epoch = run.progress.total_steps, run.progress.steps_per_epoch
    started = time.perf_counter()
    run.progress.num_epochs, run.progress.steps_per_epoch = 1, 1  # the trainer ends after one step
    trainer.run()
    parameters = list(run.network.module.parameters())
    return DryRun(
        steps_per_epoch=per_epoch,
        total_steps=total,
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        loss=run.progress.records[-1].losses["loss"],
        seconds=time.perf_counter() - started,
        memory_mb=peak_memory_mb(),
        weights=run.weights,
        device=str(run.network.device),
    )
