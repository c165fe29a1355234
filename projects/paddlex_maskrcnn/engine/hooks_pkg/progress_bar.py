"""A live bar on a terminal; log lines pass above it."""

from __future__ import annotations

from detectron2.engine import HookBase
from tqdm import tqdm

from ..trainer import Trainer


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
