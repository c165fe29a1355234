"""One real step without a trace on disk: does it fit, and how long will it take."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .hooks_pkg.log_lines import as_clock, peak_memory_mb
from .setup import Run
from .trainer import Trainer


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


def dry_run(run: Run) -> DryRun:
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
