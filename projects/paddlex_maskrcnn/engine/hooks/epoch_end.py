"""At the end of an epoch: evaluate, save, keep the best, stop when nothing improves any more."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase

from ..best import Best
from ..evaluate import Evaluation
from ..metrics_log import MetricsLog
from ..model_directory import copy_model_directory, save_model_directory
from ..trainer import Trainer
from .stop_on_signal import INTERRUPTED

logger = logging.getLogger(__name__)

BEST_MODEL = "best_model"


class EpochEnd(HookBase):
    """Evaluates before saving, so that the metrics stand in the saved model."""

    trainer: Trainer

    def __init__(
        self,
        save_dir: Path,
        *,
        interval: int,
        best: Best,
        best_metric: str,
        metrics: MetricsLog,
        experiment: dict[str, Any],
        resume_state: Callable[[], dict[str, Any]],
        evaluate: Callable[[], Evaluation] | None,
        patience: int | None,
        keep_last: int | None = None,
    ) -> None:
        """Act every `interval` epochs and after the last.

        Args:
            save_dir: model directories `epoch_k` and `best_model` go here.
            best: updated with each evaluation.
            best_metric: `segm` or `bbox`.
            experiment: for the record in model.yml.
            resume_state: what a resume needs besides the weights.
            evaluate: the network on the held-out data; None without such data.
            patience: evaluations without a new best after which training stops; None: never.
            keep_last: saved epochs that stay; None: all.
        """
        self._keep_last = keep_last
        self._save_dir, self._interval, self._patience = save_dir, interval, patience
        self._best, self._best_metric, self._metrics = best, best_metric, metrics
        self._experiment, self._resume_state, self._evaluate = experiment, resume_state, evaluate

    def after_step(self) -> None:
        progress = self.trainer.progress
        last = progress.step == progress.total_steps
        if progress.epoch_is_done and (last or progress.epoch % self._interval == 0):
            improved = self._evaluated(progress.epoch) if self._evaluate else False
            self._save(progress.epoch, improved)

    def _evaluated(self, epoch: int) -> bool:
        """Evaluate and log; whether this is the best so far."""
        assert self._evaluate is not None
        evaluation = self._evaluate()
        card = self.trainer.network.card
        card.eval_metrics = evaluation.metrics
        self._metrics.write("eval", epoch, self.trainer.progress.step, _row(evaluation))
        shown = ", ".join(f"{name}={value:.4f}" for name, value in evaluation.metrics.items())
        logger.info("[EVAL] Finished, Epoch=%d, %s\n%s", epoch, shown, evaluation.table())
        key = next(name for name in evaluation.metrics if name.startswith(self._best_metric))
        improved = self._best.update(evaluation.metrics[key], epoch)
        if self._patience is not None and self._best.waited >= self._patience:
            self.trainer.stop_reason = (
                f"{key} has not risen above {self._best.value} (epoch {self._best.epoch}) "
                f"in {self._best.waited} evaluations"
            )
        return improved

    def _save(self, epoch: int, improved: bool) -> None:
        self.trainer.network.card.completed_epochs = epoch
        directory = self._save_dir / f"epoch_{epoch}"
        save_model_directory(
            directory,
            self.trainer.network,
            experiment=self._experiment,
            state=self._resume_state(),
        )
        logger.info("Model saved in %s", directory)
        if improved:
            copy_model_directory(directory, self._save_dir / BEST_MODEL)
        self._remove_old(epoch)
        if self._best.value is not None:
            logger.info(
                "Current evaluated best model is epoch_%d, %s %.4f",
                self._best.epoch, self._best_metric, self._best.value,
            )  # fmt: skip

    def _remove_old(self, epoch: int) -> None:
        """What a newer save has made superfluous; only ever directories of this run's numbering."""
        shutil.rmtree(self._save_dir / INTERRUPTED, ignore_errors=True)
        if self._keep_last is not None:
            saved = [k for k in range(1, epoch + 1) if (self._save_dir / f"epoch_{k}").is_dir()]
            for old in saved[: -self._keep_last]:
                shutil.rmtree(self._save_dir / f"epoch_{old}")


def _row(evaluation: Evaluation) -> dict[str, Any]:
    return evaluation.metrics | {
        "bbox_ap50": evaluation.bbox.ap50,
        "segm_ap50": evaluation.segm.ap50,
        "segm_ap_by_class": evaluation.segm.by_class,
        "bbox_ap_by_class": evaluation.bbox.by_class,
    }
