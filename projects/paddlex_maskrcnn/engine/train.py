"""A run from its first (or resumed) step to its end."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase

from ..config.yaml_io import dump
from .best import Best
from .evaluate import Evaluation, evaluate_network
from .hooks.epoch_end import EpochEnd
from .hooks.log_lines import LogLines, as_clock
from .hooks.progress_bar import ProgressBar
from .hooks.stop_on_signal import StopOnSignal
from .metrics_log import MetricsLog
from .resume import find_checkpoint, new_run_id, restore, restore_random_state, resume_state
from .run_log import run_log
from .start import Run, check_writable
from .trainer import Trainer

logger = logging.getLogger(__name__)

CONFIG = "config.yaml"


def train(run: Run, experiment: dict[str, Any]) -> None:
    """Train to the end; the network is left in evaluation mode.

    Writes model directories, config.yaml, train.log and metrics into the run's save_dir.

    Args:
        run: as `start` returned it.
        experiment: the resolved settings, written down for the record.

    Raises:
        ValueError: when save_dir cannot be written to or there is nothing to resume from.
        TrainingDivergedError: when the loss is no longer finite.
    """
    save_dir = Path(run.params.save_dir)
    check_writable(save_dir)
    best = Best()
    with run_log(save_dir):
        run_id = _resumed(run, best) or new_run_id(save_dir)
        done = run.network.card.completed_epochs
        if run.progress.step >= run.progress.total_steps:
            logger.info("Nothing left to do: %d of %d epochs are done", done, run.params.num_epochs)
        elif run.params.early_stop and best.waited >= run.params.early_stop_patience:
            logger.info("Nothing left to do: the run was stopped early after epoch %d", done)
        else:
            (save_dir / CONFIG).write_text(dump(experiment), encoding="utf-8")
            _run_steps(run, best, run_id, experiment)
    run.network.module.eval()


def _resumed(run: Run, best: Best) -> str:
    """The id of the run that goes on, empty for a new one."""
    if run.params.resume_checkpoint is None:
        return ""
    directory = find_checkpoint(run)
    if directory is None:
        logger.info("Nothing to resume from in %s: starting anew", run.params.save_dir)
        return ""
    run_id = restore(run, best, directory)
    logger.info("Resumed from %s, after step %d", directory, run.progress.step)
    return run_id


def _run_steps(run: Run, best: Best, run_id: str, experiment: dict[str, Any]) -> None:
    _announce(run)
    metrics = MetricsLog(Path(run.params.save_dir), run.progress.step, run.params.use_vdl)
    trainer = Trainer(
        run.network, run.optimizer, run.schedule, run.batches(), run.progress,
        run.params.clip_gradients, run.params.accumulate,
    )  # fmt: skip
    trainer.register_hooks(_hooks(run, best, run_id, metrics, experiment))
    started = time.perf_counter()
    restore_random_state(run.random_state)
    try:
        trainer.run()
    finally:
        metrics.close()
    if trainer.stop_reason:
        logger.info("EarlyStopping: Stop training, %s", trainer.stop_reason)
    logger.info("Training took %s", as_clock(time.perf_counter() - started))


def _hooks(
    run: Run, best: Best, run_id: str, metrics: MetricsLog, experiment: dict[str, Any]
) -> list[HookBase]:
    """In the order they act: the line of an epoch's last step stands before its evaluation."""
    params, save_dir = run.params, Path(run.params.save_dir)

    def state() -> dict[str, Any]:
        return resume_state(run, best, run_id)

    hooks: list[HookBase] = [
        LogLines(metrics, params.log_interval_steps, params.train_batch_size),
        EpochEnd(
            save_dir,
            interval=params.save_interval_epochs,
            best=best,
            best_metric=params.best_metric,
            metrics=metrics,
            experiment=experiment,
            resume_state=state,
            evaluate=_evaluator(run),
            patience=params.early_stop_patience if params.early_stop else None,
            keep_last=params.keep_last,
        ),
        StopOnSignal(save_dir, experiment, state),
    ]
    if sys.stderr.isatty():
        hooks.insert(0, ProgressBar())
    return hooks


def _evaluator(run: Run) -> Callable[[], Evaluation] | None:
    dataset = run.eval_dataset
    if dataset is None:
        return None

    def evaluate() -> Evaluation:
        metric = run.network.card.metric or "COCO"
        logger.info("Start to evaluate %d images...", dataset.num_samples)
        return evaluate_network(run.network, dataset, run.eval_transforms, metric=metric)

    return evaluate


def _announce(run: Run) -> None:
    for dataset in filter(None, (run.train_dataset, run.eval_dataset)):
        logger.info(dataset.describe())
    trainable = sum(p.numel() for p in run.network.module.parameters() if p.requires_grad)
    logger.info("Weights: %s", run.weights)
    logger.info(
        "%d epochs of %d steps on %s, %.1f million trainable parameters",
        run.progress.num_epochs, run.progress.steps_per_epoch, run.network.device, trainable / 1e6,
    )  # fmt: skip
