"""The training loop: one step after the other, hooks in between.

Hooks are Detectron2's (`detectron2.engine.HookBase`), so those written for it work here too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from detectron2.engine import TrainerBase
from detectron2.utils.events import EventStorage
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from .network import Network

# Detectron2's names of the loss parts -> the documented ones
LOSS_NAMES = {"loss_box_reg": "loss_bbox", "loss_rpn_loc": "loss_rpn_bbox"}


class TrainingDivergedError(FloatingPointError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class StepRecord:
    """What one step showed.

    Attributes:
        losses: total under `loss` and the parts, as tensors still on their device.
        lr: learning rate of the step.
        seconds: the whole step took, `data_seconds` of them waiting for data.
    """

    losses: dict[str, torch.Tensor]
    lr: float
    seconds: float
    data_seconds: float

    def as_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        losses = {name: loss.item() for name, loss in self.losses.items()}
        return asdict(replace(self, losses={})) | {"losses": losses}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> StepRecord:
        """What `as_plain` made."""
        losses = {name: torch.tensor(loss) for name, loss in plain["losses"].items()}
        return cls(**plain | {"losses": losses})


@dataclass
class Progress:
    """How far a run is: all in steps from the beginning of training, over resumes."""

    step: int
    steps_per_epoch: int
    num_epochs: int
    records: list[StepRecord] = field(default_factory=list)

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.num_epochs

    @property
    def epoch(self) -> int:
        """The epoch of the last step done, counted from 1."""
        return max(0, self.step - 1) // self.steps_per_epoch + 1

    @property
    def step_in_epoch(self) -> int:
        """The last step done within its epoch, counted from 1."""
        return (self.step - 1) % self.steps_per_epoch + 1

    @property
    def epoch_is_done(self) -> bool:
        return self.step > 0 and self.step % self.steps_per_epoch == 0


class Trainer(TrainerBase):
    """Runs optimizer steps from `progress.step` to the end, or until a hook sets `stop_reason`."""

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        schedule: LambdaLR,
        batches: Iterator[list[dict[str, Any]]],
        progress: Progress,
        clip_gradients: float | None = None,
        accumulate: int = 1,
    ) -> None:
        """A trainer that is ready to run.

        Args:
            batches: Detectron2's input dicts, a list for each step.
            progress: updated with each step.
            clip_gradients: largest L2 norm of the whole gradient.
            accumulate: parts a batch is split into, one after the other, to save memory.
        """
        super().__init__()
        self.accumulate = accumulate
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self.progress, self.clip_gradients = progress, clip_gradients
        self.stop_reason = ""
        self._batches = batches

    def run(self) -> None:
        """Train; hooks see `after_train` also when a step fails.

        Raises:
            TrainingDivergedError: when the loss is not finite; no weight was touched by that step.
        """
        progress = self.progress
        self.iter = self.start_iter = progress.step
        self.max_iter = progress.total_steps
        self.network.module.train()
        with EventStorage(progress.step) as self.storage:
            self.before_train()
            try:
                while progress.step < progress.total_steps and not self.stop_reason:
                    self.before_step()
                    self.run_step()
                    self.after_step()
                    self.storage.step()
                    self.iter = progress.step
            finally:
                self.after_train()

    def run_step(self) -> None:
        """One optimizer step."""
        start = time.perf_counter()
        batch = next(self._batches)
        data_seconds = time.perf_counter() - start
        self.optimizer.zero_grad()
        losses = self._backward(batch)
        self.after_backward()
        if self.clip_gradients is not None:
            torch.nn.utils.clip_grad_norm_(self.network.module.parameters(), self.clip_gradients)
        self.optimizer.step()
        lr = float(self.schedule.get_last_lr()[0])
        self.schedule.step()
        seconds = time.perf_counter() - start
        self.progress.records.append(StepRecord(losses, lr, seconds, data_seconds))
        self.progress.step += 1

    def _backward(self, batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Gradients of the batch's mean loss, part by part; the detached losses."""
        total: dict[str, torch.Tensor] = {}
        size = -(-len(batch) // self.accumulate)
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            losses = self._losses(part)
            share = len(part) / len(batch)
            (losses["loss"] * share).backward()
            for name, loss in losses.items():
                total[name] = total.get(name, 0) + loss.detach() * share
        return total

    def _losses(self, batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Total first, then the parts under their documented names."""
        try:
            parts = self.network.module(batch)
        except FloatingPointError as error:
            raise TrainingDivergedError(self._diverged(batch, str(error))) from error
        total = sum(parts.values())
        if not torch.isfinite(total):
            shown = ", ".join(f"{name} {loss.item():.4g}" for name, loss in parts.items())
            raise TrainingDivergedError(self._diverged(batch, shown))
        return {"loss": total} | {LOSS_NAMES.get(name, name): part for name, part in parts.items()}

    def _diverged(self, batch: list[dict[str, Any]], shown: str) -> str:
        return (
            f"the loss is not finite at step {self.progress.step + 1} ({shown}); images "
            f"{[one['image_id'] for one in batch]}, learning rate {self.schedule.get_last_lr()[0]:.3g}. "
            "Lower learning_rate, lengthen warmup_steps, or set clip_gradients: 10"
        )
