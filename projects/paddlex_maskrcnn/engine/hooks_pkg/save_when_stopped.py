"""A machine that is taken away sends SIGTERM first, a user presses Ctrl-C: save, then end.

So does an error in the middle of an epoch, as long as no weight was half changed.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from types import FrameType
from typing import Any

from detectron2.engine import HookBase

from ...user_errors import RunInterruptedError, TrainingTroubleError
from ..checkpoints import DIVERGED, LATEST, Checkpoints
from ..failures import TrainingDivergedError
from ..trainer import Trainer

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._ask) for one in SIGNALS}

    def after_step(self) -> None:
        progress = self.trainer.progress
        if self.trainer.stop_agreed:
            raise RunInterruptedError(self._saved(), self._asked or signal.SIGTERM)
        if self._interval and progress.step % self._interval == 0 and not progress.epoch_is_done:
            logger.info("State saved in %s", self._checkpoints.save(LATEST))

    def after_train(self) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)
        error = sys.exception()
        if self._asked and isinstance(error, TrainingTroubleError) and self.trainer.is_whole:
            # the signal went to the processes that load images too
            raise RunInterruptedError(self._saved(), self._asked) from error
        if isinstance(error, Exception) and not isinstance(error, RunInterruptedError):
            self._save_after(error)

    def _saved(self) -> str:
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
            except Exception as second:
                logger.warning("What was reached could not be saved: %s", second)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt  # pressed again: at once
        self._asked = signal.Signals(number)
        self.trainer.stop_asked = True
