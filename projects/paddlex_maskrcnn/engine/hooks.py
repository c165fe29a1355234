"""What happens between training steps: log lines, the end of an epoch, saving when a run is stopped.

Each hook is a `detectron2.engine.HookBase`; `train.py` lists them in the order in which they act.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from types import FrameType
from typing import Any, NamedTuple

import torch
from detectron2.engine import HookBase
from tqdm import tqdm

from ..errors import RunInterruptedError, TrainingTroubleError
from ..metrics.evaluation import Evaluation
from ..progress import as_clock
from ..system import peak_process_memory
from .checkpoints import Checkpoints
from .failures import TrainingDivergedError
from .logs import MetricsLog
from .run_folder import BEST_MODEL, DIVERGED, LATEST
from .time_limit import TimeLimit
from .trainer import StepRecord, Trainer

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class EpochResult(NamedTuple):
    """One evaluation of the held-out data.

    Attributes:
        losses: the validation losses if asked for, else empty.
        write_details: writes eval_details.json to a path.
    """

    evaluation: Evaluation
    losses: dict[str, float]
    write_details: Callable[[Path], None]


@dataclass
class Best:
    """The best value of one metric; patience counts evaluations since it.

    Attributes:
        lower_is_better: as of a loss.
        value: best so far; None before the first evaluation.
        epoch: when it was reached.
        waited: evaluations since then.
    """

    value: float | None = None
    epoch: int = 0
    waited: int = 0
    lower_is_better: bool = False

    def update(self, value: float, epoch: int) -> bool:
        """Take one evaluation in; whether it is the new best. NaN never is."""
        # an equal value is no improvement in either direction, or early_stop would wait on plateaus
        better = self.value is None or (value < self.value) is self.lower_is_better
        # value == value is False for NaN only
        if value == value and better and value != self.value:
            self.value, self.epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self.epoch, self.waited = state["value"], state["epoch"], state["waited"]


class EpochEnd(HookBase):
    """Evaluates before saving, so that the metrics stand in the saved model.

    Attributes:
        best_evaluation: that of the best model; None before, and when it was before a resume.
    """

    trainer: Trainer

    def __init__(
        self,
        checkpoints: Checkpoints,
        *,
        interval: int,
        best: Best,
        best_metric: str,
        metrics: MetricsLog,
        evaluate: Callable[[], EpochResult] | None,
        patience: int | None,
        keep_last: int | None = None,
        limit: TimeLimit | None = None,
    ) -> None:
        """Act every `interval` epochs and after the last.

        Args:
            checkpoints: writes the model directories `epoch_k` and `best_model`.
            best: updated with each evaluation.
            best_metric: `segm`, `bbox` or `val_loss`.
            evaluate: the network on the held-out data; None without such data.
            patience: evaluations without a new best after which training stops; None: never.
            keep_last: saved epochs that stay; None: all.
            limit: when the run ends as if it had no more epochs; None: never.
        """
        self._checkpoints, self._interval, self._patience = checkpoints, interval, patience
        self._best, self._best_metric, self._metrics = best, best_metric, metrics
        self._evaluate, self._keep_last = evaluate, keep_last
        self._limit = limit or TimeLimit(None)
        self.best_evaluation: Evaluation | None = None

    def before_train(self) -> None:
        self._close_epoch()  # of a run that was ended between its last step and this point

    def after_step(self) -> None:
        progress = self.trainer.progress
        is_time = self._limit.is_reached(progress.step)
        if progress.epoch_is_done:
            self._close_epoch(is_time)
            is_time = is_time or self._limit.is_reached(progress.step)  # evaluating takes time too
        elif is_time:
            self._evaluate_and_save(progress.epoch)
        if is_time and progress.step < progress.total_steps:
            self.trainer.stop_reason = (
                f"Stop training after {self._limit.elapsed_minutes:.1f} of at most "
                f"{self._limit.minutes:g} minutes (max_minutes), at step {progress.step} of "
                f"{progress.total_steps}; --resume goes on from there"
            )

    def _close_epoch(self, is_time: bool = False) -> None:
        progress = self.trainer.progress
        if not progress.epoch_is_done or progress.closed_epochs >= progress.epoch:
            return
        # the last epoch is always saved, whatever the interval
        last = is_time or progress.step == progress.total_steps
        if last or progress.epoch % self._interval == 0:
            self._evaluate_and_save(progress.epoch)
        progress.closed_epochs = progress.epoch

    def _evaluate_and_save(self, epoch: int) -> None:
        """Of an epoch that is done, or of one that ends early."""
        self.trainer.check_weights()
        before = self._best.state_dict()
        try:
            with self._limit.evaluation():
                result = self._evaluate() if self._evaluate else None
                improved = self._evaluated(epoch, result) if result else False
                if not improved and not self.trainer.progress.epoch_is_done:
                    self._best.load_state_dict(before)  # patience counts whole epochs
                self._save(epoch, improved, result.write_details if result else None)
        except BaseException:
            self._best.load_state_dict(before)  # a resume comes here again
            raise

    def _evaluated(self, epoch: int, result: EpochResult) -> bool:
        """Log an evaluation; whether it is the best so far."""
        evaluation, losses = result.evaluation, result.losses
        self.trainer.network.card.eval_metrics = evaluation.metrics
        values = _row(evaluation) | losses
        self._metrics.write("eval", epoch, self.trainer.progress.step, values)
        shown = {**evaluation.metrics, **losses}
        line = ", ".join(f"{name}={value:.4f}" for name, value in shown.items())
        logger.info("[EVAL] Finished, Epoch=%d, %s\n%s", epoch, line, evaluation.table())
        # segm -> segm_mmap (COCO) or segm_map (VOC); val_loss stands before its parts
        key = next(name for name in shown if name.startswith(self._best_metric))
        improved = self._best.update(shown[key], epoch)
        if improved:
            self.best_evaluation = evaluation
        if self._patience is not None and self._best.waited >= self._patience:
            self.trainer.stop_reason = (
                f"EarlyStopping: Stop training, {key} has not been better than {self._best.value} "
                f"(epoch {self._best.epoch}) in {self._best.waited} evaluations"
            )
        return improved

    def _save(
        self, epoch: int, improved: bool, write_details: Callable[[Path], None] | None
    ) -> None:
        progress = self.trainer.progress
        is_done = progress.epoch_is_done
        name = f"epoch_{epoch}" if is_done else LATEST
        self.trainer.network.card.completed_epochs = epoch
        # the saved state has to say that this epoch needs nothing more; taken back when saving fails
        closed = progress.closed_epochs
        progress.closed_epochs = epoch if is_done else closed
        try:
            logger.info("Model saved in %s", self._checkpoints.save(name, write_details))
            if improved:
                self._checkpoints.copy(name, BEST_MODEL)
        except BaseException:
            progress.closed_epochs = closed
            raise
        if is_done:
            self._remove_old(epoch)
        if self._best.value is not None:
            logger.info(
                "Current evaluated best model is %s, %s %.4f",
                name if improved else f"epoch_{self._best.epoch}",
                self._best_metric, self._best.value,
            )  # fmt: skip

    def _remove_old(self, epoch: int) -> None:
        """What a newer save has made superfluous; only ever directories of this run's numbering."""
        self._checkpoints.remove(LATEST)
        if self._keep_last is not None:
            folder = self._checkpoints.save_dir
            saved = [k for k in range(1, epoch + 1) if (folder / f"epoch_{k}").is_dir()]
            for old in saved[: -self._keep_last]:  # keep_last is at least 1
                self._checkpoints.remove(f"epoch_{old}")


def _row(evaluation: Evaluation) -> dict[str, Any]:
    return evaluation.metrics | {
        "bbox_ap50": evaluation.bbox.ap50,
        "segm_ap50": evaluation.segm.ap50,
        "segm_ap_by_class": evaluation.segm.by_class,
        "bbox_ap_by_class": evaluation.bbox.by_class,
    }


class LogLines(HookBase):
    """`[TRAIN] Epoch=i/N, Step=s/S, loss=..., lr=..., time_each_step=...s, eta=h:mm:ss`."""

    trainer: Trainer

    def __init__(self, metrics: MetricsLog, interval: int, batch_size: int) -> None:
        """Log every `interval` steps and at the end of each epoch."""
        self._metrics, self._interval, self._batch_size = metrics, interval, batch_size

    def after_step(self) -> None:
        progress = self.trainer.progress
        if progress.step % self._interval and not progress.epoch_is_done:
            return
        values = _means(progress.records, self._batch_size)
        progress.records.clear()
        self._metrics.write("train", progress.epoch, progress.step, values)
        logger.info(self._line(values))

    def _line(self, values: dict[str, Any]) -> str:
        progress = self.trainer.progress
        losses = ", ".join(f"{k}={v:.4f}" for k, v in values.items() if k.startswith("loss"))
        seconds = (progress.total_steps - progress.step) * values["seconds_per_step"]
        return (
            f"[TRAIN] Epoch={progress.epoch}/{progress.num_epochs}, "
            f"Step={progress.step_in_epoch}/{progress.steps_per_epoch}, {losses}, "
            f"lr={values['lr']:.6g}, time_each_step={values['seconds_per_step']:.2f}s, "
            f"eta={as_clock(seconds)}"
        )


def _means(records: list[StepRecord], batch_size: int) -> dict[str, Any]:
    losses = {name: fmean(record.losses[name] for record in records) for name in records[0].losses}
    seconds = fmean(record.seconds for record in records)
    return losses | {
        "gradient_norm": torch.stack([record.gradient_norm for record in records]).mean().item(),
        "lr": records[-1].lr,
        "seconds_per_step": seconds,
        "data_share": fmean(record.data_seconds for record in records) / seconds,
        "images_per_second": batch_size / seconds,
        "memory_mb": peak_memory_mb(),
    }


def peak_memory_mb() -> float:
    """The largest memory so far: of the GPU when there is one in use, else of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    return peak_process_memory() / 2**20


class ProgressBar(HookBase):
    """One bar over all steps of the run."""

    trainer: Trainer

    def before_train(self) -> None:
        progress = self.trainer.progress
        self._bar = tqdm(
            total=progress.total_steps, initial=progress.step, unit="step", dynamic_ncols=True
        )

    def after_step(self) -> None:
        progress = self.trainer.progress
        self._bar.set_description(f"epoch {progress.epoch}/{progress.num_epochs}", refresh=False)
        self._bar.update()

    def after_train(self) -> None:
        self._bar.close()


class SaveWhenStopped(HookBase):
    """Writes the model directory `latest` when a run ends before its time, or every so many steps."""

    trainer: Trainer

    def __init__(self, checkpoints: Checkpoints, interval: int | None = None) -> None:
        """Save through `checkpoints`.

        Args:
            interval: steps between two saves without any reason to stop; None: no such saves.
        """
        self._checkpoints, self._interval = checkpoints, interval
        self._asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def before_train(self) -> None:
        # Python sets signal handlers in the main thread only; elsewhere a run goes on without
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}

    def after_step(self) -> None:
        progress = self.trainer.progress
        if self.trainer.stop_agreed:
            raise RunInterruptedError(self._saved(), self._asked or signal.SIGTERM)
        if self._interval and progress.step % self._interval == 0 and not progress.epoch_is_done:
            self.trainer.check_weights()
            logger.info("State saved in %s", self._checkpoints.save(LATEST))

    def after_train(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        error = sys.exception()  # of the `try` around the training loop, if it failed
        if self._asked and isinstance(error, TrainingTroubleError) and self.trainer.is_whole:
            # the signal went to the processes that load images too
            raise RunInterruptedError(self._saved(), self._asked) from error
        if isinstance(error, Exception) and not isinstance(error, RunInterruptedError):
            self._save_after(error)

    def _saved(self) -> str:
        self.trainer.check_weights()
        directory = self._checkpoints.save(LATEST)
        name = (self._asked or signal.SIGTERM).name
        return (
            f"{name} after step {self.trainer.progress.step}: everything is saved in {directory}; "
            "go on with --resume"
        )

    def _save_after(self, error: Exception) -> None:
        """What was reached before an error, unless it struck in the middle of an optimizer step."""
        if self.trainer.is_whole and self.trainer.progress.step:
            name = DIVERGED if isinstance(error, TrainingDivergedError) else LATEST
            try:
                logger.info("What was reached is saved in %s", self._checkpoints.save(name))
            except Exception as second:  # the first error is what the user has to see
                logger.warning("What was reached could not be saved: %s", second)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt  # pressed again: at once
        self._asked = signal.Signals(number)
        self.trainer.stop_asked = True
