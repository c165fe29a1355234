"""At the end of an epoch: evaluate, save, keep the best, stop when nothing improves any more."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from detectron2.engine import HookBase

from ...metrics.evaluation import Evaluation
from ..best import Best
from ..checkpoint import LATEST, Checkpoints
from ..metrics_log import MetricsLog
from ..trainer import Trainer

logger = logging.getLogger(__name__)

BEST_MODEL = "best_model"

# What one evaluation found: all of COCO's numbers, and the validation losses if asked for.
Found = tuple[Evaluation, dict[str, float]]


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
        evaluate: Callable[[], Found] | None,
        patience: int | None,
        keep_last: int | None = None,
    ) -> None:
        """Act every `interval` epochs and after the last.

        Args:
            checkpoints: writes the model directories `epoch_k` and `best_model`.
            best: updated with each evaluation.
            best_metric: `segm`, `bbox` or `val_loss`.
            evaluate: the network on the held-out data; None without such data.
            patience: evaluations without a new best after which training stops; None: never.
            keep_last: saved epochs that stay; None: all.
        """
        self._checkpoints, self._interval, self._patience = checkpoints, interval, patience
        self._best, self._best_metric, self._metrics = best, best_metric, metrics
        self._evaluate, self._keep_last = evaluate, keep_last
        self.best_evaluation: Evaluation | None = None

    def before_train(self) -> None:
        self._close_epoch()  # of a run that was ended between its last step and this point

    def after_step(self) -> None:
        self._close_epoch()

    def _close_epoch(self) -> None:
        progress = self.trainer.progress
        if not progress.epoch_is_done or progress.closed_epochs >= progress.epoch:
            return
        last = progress.step == progress.total_steps
        if last or progress.epoch % self._interval == 0:
            self._evaluate_and_save(progress.epoch)
        progress.closed_epochs = progress.epoch

    def _evaluate_and_save(self, epoch: int) -> None:
        before = self._best.state_dict()
        try:
            improved = self._evaluated(epoch) if self._evaluate else False
            self._save(epoch, improved)
        except BaseException:
            self._best.load_state_dict(before)  # a resume comes here again
            raise

    def _evaluated(self, epoch: int) -> bool:
        """Evaluate and log; whether this is the best so far."""
        assert self._evaluate is not None
        evaluation, losses = self._evaluate()
        self.trainer.network.card.eval_metrics = evaluation.metrics
        values = _row(evaluation) | losses
        self._metrics.write("eval", epoch, self.trainer.progress.step, values)
        shown = {**evaluation.metrics, **losses}
        line = ", ".join(f"{name}={value:.4f}" for name, value in shown.items())
        logger.info("[EVAL] Finished, Epoch=%d, %s\n%s", epoch, line, evaluation.table())
        key = next(name for name in shown if name.startswith(self._best_metric))
        improved = self._best.update(shown[key], epoch)
        if improved:
            self.best_evaluation = evaluation
        if self._patience is not None and self._best.waited >= self._patience:
            self.trainer.stop_reason = (
                f"{key} has not been better than {self._best.value} (epoch {self._best.epoch}) "
                f"in {self._best.waited} evaluations"
            )
        return improved

    def _save(self, epoch: int, improved: bool) -> None:
        progress, name = self.trainer.progress, f"epoch_{epoch}"
        self.trainer.network.card.completed_epochs = epoch
        closed, progress.closed_epochs = progress.closed_epochs, epoch
        try:
            logger.info("Model saved in %s", self._checkpoints.save(name))
            if improved:
                self._checkpoints.copy(name, BEST_MODEL)
        except BaseException:
            progress.closed_epochs = closed
            raise
        self._remove_old(epoch)
        if self._best.value is not None:
            logger.info(
                "Current evaluated best model is epoch_%d, %s %.4f",
                self._best.epoch, self._best_metric, self._best.value,
            )  # fmt: skip

    def _remove_old(self, epoch: int) -> None:
        """What a newer save has made superfluous; only ever directories of this run's numbering."""
        self._checkpoints.remove(LATEST)
        if self._keep_last is not None:
            folder = self._checkpoints.save_dir
            saved = [k for k in range(1, epoch + 1) if (folder / f"epoch_{k}").is_dir()]
            for old in saved[: -self._keep_last]:
                self._checkpoints.remove(f"epoch_{old}")


def _row(evaluation: Evaluation) -> dict[str, Any]:
    return evaluation.metrics | {
        "bbox_ap50": evaluation.bbox.ap50,
        "segm_ap50": evaluation.segm.ap50,
        "segm_ap_by_class": evaluation.segm.by_class,
        "bbox_ap_by_class": evaluation.bbox.by_class,
    }
