"""The training loop: one step after the other, hooks in between.

Hooks are Detectron2's (`detectron2.engine.HookBase`), so those written for it work here too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from detectron2.engine import TrainerBase
from detectron2.utils.events import EventStorage
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..inference.network import Network
from ..processes import mean_of_all, to_host
from .device import Precision
from .failures import FailedStep, explained
from .optimizer import Ema

# Detectron2's names of the loss parts -> the documented ones
LOSS_NAMES = {"loss_box_reg": "loss_bbox", "loss_rpn_loc": "loss_rpn_bbox"}

Batch = list[dict[str, Any]]
_RECENT = 20  # steps before a failure that its report shows


@dataclass(frozen=True)
class StepRecord:
    """Measurements of one step.

    Attributes:
        losses: total under `loss` and the parts, of the whole batch over all processes.
        gradient_norm: L2 norm of the whole gradient before clipping, a tensor () on its device.
        lr: learning rate of the step.
        seconds: the whole step took, `data_seconds` of them waiting for data.
    """

    losses: dict[str, float]
    gradient_norm: torch.Tensor
    lr: float
    seconds: float
    data_seconds: float

    def as_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self) | {"gradient_norm": self.gradient_norm.cpu()}


@dataclass
class Progress:
    """How far a run is: all in steps from the beginning of training, over resumes.

    Attributes:
        closed_epochs: epochs after which was evaluated and saved, or nothing was due.
    """

    step: int
    steps_per_epoch: int
    num_epochs: int
    records: list[StepRecord] = field(default_factory=list)
    closed_epochs: int = 0

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

    @property
    def is_finished(self) -> bool:
        """All steps are done and nothing is due after the last one."""
        return self.step >= self.total_steps and self.closed_epochs >= self.num_epochs


class Trainer(TrainerBase):
    """Runs optimizer steps from `progress.step` to the end, or until a hook sets `stop_reason`.

    Attributes:
        stop_asked: this process wants to stop after the current step; set by hooks.
        stop_agreed: some process wants to, and all know it since the last step.
        is_whole: no step is half done, so that weights and progress belong together.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        schedule: LambdaLR,
        batches: Iterator[Batch],
        progress: Progress,
        *,
        model: nn.Module | None = None,
        precision: Precision | None = None,
        ema: Ema | None = None,
        clip_gradients: float | None = None,
        accumulate: int = 1,
    ) -> None:
        """A trainer that is ready to run.

        Args:
            batches: Detectron2's input dicts, a list for each step.
            progress: updated with each step.
            model: what is called for the losses: the network's module, or a wrapper around it.
            precision: of forward and backward passes.
            ema: updated after each step.
            clip_gradients: largest L2 norm of the whole gradient.
            accumulate: parts a batch is split into, one after the other, to save memory.
        """
        super().__init__()
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self.progress, self.clip_gradients = progress, clip_gradients
        self.accumulate, self.ema = accumulate, ema
        self.precision = precision or Precision()
        self.stop_reason = ""
        self.stop_asked = self.stop_agreed = False
        self.is_whole = True
        self._model = model if model is not None else network.module
        self._batches = batches
        self._recent: deque[StepRecord] = deque(maxlen=_RECENT)

    def run(self) -> None:
        """Train; hooks see `after_train` also when a step fails.

        Raises:
            TrainingDivergedError: when the loss or the gradient is not finite; nothing is saved of weights
                that such a gradient has touched.
            TrainingTroubleError: when memory or a data process is gone, with what to do.
        """
        progress = self.progress
        self.iter = self.start_iter = progress.step
        self.max_iter = progress.total_steps
        self.network.set_training()
        with EventStorage(progress.step) as self.storage:
            try:
                self.before_train()
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
        with explained(self._failed([])):
            batch = next(self._batches)
        data_seconds = time.perf_counter() - start
        self.optimizer.zero_grad()
        with explained(self._failed(batch)):
            losses = self._backward(batch)
        self.after_backward()
        parameters = self.network.module.parameters()
        norm = self.precision.clip(self.optimizer, parameters, self.clip_gradients)
        if _is_on_host(norm):  # elsewhere a look at it would wait for the device
            self._check_gradient(norm, batch)
        self.is_whole = False
        self.precision.step(self.optimizer)
        if self.ema is not None:
            self.ema.update()
        lr = float(self.schedule.get_last_lr()[0])  # of the step just done
        self.schedule.step()
        seconds = time.perf_counter() - start
        record = StepRecord(losses, norm, lr, seconds, data_seconds)
        self.progress.records.append(record)
        self._recent.append(record)
        self.progress.step += 1
        self.is_whole = True

    def check_weights(self) -> None:
        """Make sure that the last step was taken with a finite gradient, before its weights are used.

        Raises:
            TrainingDivergedError: when it was not; the weights are of no use then.
        """
        if self._recent:
            self._check_gradient(self._recent[-1].gradient_norm, [], is_taken=True)

    def _check_gradient(self, norm: torch.Tensor, batch: Batch, *, is_taken: bool = False) -> None:
        if self.precision.leaves_out_overflows or bool(torch.isfinite(norm)):
            return
        self.is_whole = self.is_whole and not is_taken
        raise self._failed(batch).diverged_gradient(
            float(norm), self.progress.step + (not is_taken)
        )

    def _backward(self, batch: Batch) -> dict[str, float]:
        """Gradients of the batch's mean loss, part by part; the losses.

        The device goes on with the backward pass while the host waits for the losses.
        """
        total: dict[str, float] = {}
        size = -(-len(batch) // self.accumulate)  # rounded up
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            share = len(part) / len(batch)
            with self._gradients_stay_here(is_last=start + size >= len(batch)):
                losses = self._losses(part)
                values_of_all = self._means(losses)
                # losses are means over images: weighted by share they add up to the mean of the batch
                self.precision.backward(losses["loss"] * share)
                values = self._checked(part, losses, values_of_all)
            for name, value in values.items():
                total[name] = total.get(name, 0.0) + value * share
        return total

    def _gradients_stay_here(self, is_last: bool) -> AbstractContextManager[Any]:
        """Gradients travel between processes once a step, with its last part."""
        if is_last or not isinstance(self._model, DistributedDataParallel):
            return nullcontext()
        return self._model.no_sync()

    def _losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Total first, then the parts under their documented names."""
        with self.precision.autocast():
            parts = self._model(batch)
        named = {LOSS_NAMES.get(name, name): part for name, part in parts.items()}
        return {"loss": sum(parts.values()), **named}

    def _means(self, losses: dict[str, torch.Tensor]) -> Callable[[], list[float]]:
        """The losses and who wants to stop, means over the processes, on their way to the host."""
        total = losses["loss"].detach()
        # travel with the losses, so that agreeing on a stop costs no communication of its own
        stop = torch.full_like(total, float(self.stop_asked))
        last = self._recent[-1].gradient_norm if self._recent else total.new_zeros(())
        poisoned = (~torch.isfinite(last)).to(total)
        here = torch.stack([*(loss.detach() for loss in losses.values()), stop, poisoned])
        return to_host(mean_of_all(here))

    def _checked(
        self,
        batch: Batch,
        losses: dict[str, torch.Tensor],
        values_of_all: Callable[[], list[float]],
    ) -> dict[str, float]:
        """The losses as numbers, after their backward pass was sent to the device.

        Raises:
            TrainingDivergedError: in every process when the loss is not finite in one, or when the
                gradient of the step before was not.
        """
        *values, stop_share, poisoned = values_of_all()
        self.stop_agreed = stop_share > 0
        if poisoned:
            self.check_weights()
        if not values[0] - values[0] == 0:  # infinite or NaN
            raise self._failed(batch).diverged(losses)
        return dict(zip(losses, values, strict=True))

    def _failed(self, batch: Batch) -> FailedStep:
        return FailedStep(
            network=self.network,
            batch=batch,
            step=self.progress.step + 1,
            lr=float(self.schedule.get_last_lr()[0]),
            accumulate=self.accumulate,
            recent=list(self._recent),
        )


def _is_on_host(value: torch.Tensor) -> bool:
    return value.device.type == "cpu"
