"""A line of means every so many steps, to the log and to the metrics files."""

from __future__ import annotations

import logging
import resource
from statistics import fmean
from typing import Any

import torch
from detectron2.engine import HookBase

from ..logs import MetricsLog
from ..trainer import StepRecord, Trainer

logger = logging.getLogger(__name__)


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
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def as_clock(seconds: float) -> str:
    """h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
