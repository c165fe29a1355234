"""A machine that is taken away sends SIGTERM first: finish the step, save, and end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from detectron2.engine import HookBase

from ...user_errors import RunInterruptedError
from ..model_directory import save_model_directory
from ..trainer import Trainer

INTERRUPTED = "interrupted"


class StopOnSignal(HookBase):
    """On SIGTERM writes the model directory `interrupted` after the current step and ends the run."""

    trainer: Trainer

    def __init__(
        self, save_dir: Path, experiment: dict[str, Any], resume_state: Callable[[], dict[str, Any]]
    ) -> None:
        """Save into `save_dir`.

        Args:
            experiment: for the record in model.yml.
            resume_state: what a resume needs besides the weights.
        """
        self._directory = save_dir / INTERRUPTED
        self._experiment, self._resume_state = experiment, resume_state
        self._asked = False
        self._before: Any = None

    def before_train(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)

    def after_step(self) -> None:
        if not self._asked:
            return
        save_model_directory(
            self._directory,
            self.trainer.network,
            experiment=self._experiment,
            state=self._resume_state(),
        )
        raise RunInterruptedError(
            f"SIGTERM after step {self.trainer.progress.step}: everything is saved in "
            f"{self._directory}; go on with --resume"
        )

    def after_train(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
