"""Writing what a run can go on from, a model directory with a resume state, and finding it again."""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..config.schema import TrainParams
from ..errors import TrainingTroubleError
from ..inference.model_directory import (
    STATE,
    SUCCESS,
    copy_model_directory,
    read_card,
    read_tensors,
    save_model_directory,
)
from ..inference.network import Network
from ..processes import is_main
from .optimizer import Ema

# A state from the middle of an epoch: after a signal or an error, or every so many steps.
LATEST = "latest"
# Before the step whose loss was not finite: to look at, not to go on from without being named.
DIVERGED = "diverged"

logger = logging.getLogger(__name__)

_RUN_ID = ".run_id"


class Checkpoints:
    """The model directories of one run; only the main process writes."""

    def __init__(
        self,
        save_dir: Path,
        network: Network,
        *,
        experiment: dict[str, Any],
        state: Callable[[], dict[str, Any]],
        ema: Ema | None = None,
    ) -> None:
        """Know what to save.

        Args:
            experiment: for the record in model.yml.
            state: what a resume needs besides the weights.
            ema: its average is saved as the model, the live weights in the state.
        """
        self.save_dir = save_dir
        self._network, self._experiment, self._state, self._ema = network, experiment, state, ema

    def save(self, name: str) -> Path:
        """Write the directory `name`, weights and state, and return it.

        Raises:
            TrainingTroubleError: when it cannot be written; what was there before stays.
        """
        directory = self.save_dir / name
        if not is_main():
            return directory
        state = self._state()  # of the live weights, before the average takes their place
        with (
            _disk_errors_explained(directory),
            self._ema.averaged() if self._ema else contextlib.nullcontext(),
        ):
            save_model_directory(directory, self._network, experiment=self._experiment, state=state)
        return directory

    def copy(self, source: str, name: str) -> None:
        """The directory `source` once more under another name."""
        if is_main():
            with _disk_errors_explained(self.save_dir / name):
                copy_model_directory(self.save_dir / source, self.save_dir / name)

    def remove(self, name: str) -> None:
        """Take a directory away, if it is there."""
        if is_main():
            shutil.rmtree(self.save_dir / name, ignore_errors=True)


@contextlib.contextmanager
def _disk_errors_explained(directory: Path) -> Iterator[None]:
    """Errors of the disk in words; torch hides a full one behind a RuntimeError of its own."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or _is_full(directory.parent)
        if not full and not isinstance(error, OSError):
            raise
        reason = "the disk is full" if full else str(error)
        raise TrainingTroubleError(
            f"{directory} could not be saved: {reason}. Models saved before are whole; make room "
            "(keep_last: 3 keeps only the newest epochs), then go on with --resume"
        ) from error


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < 2**20


def new_run_id(save_dir: Path) -> str:
    """Mark `save_dir` as belonging to a run that begins now; models of earlier runs stay."""
    run_id = uuid.uuid4().hex
    (save_dir / _RUN_ID).write_text(run_id, encoding="utf-8")
    return run_id


def find_checkpoint(params: TrainParams) -> Path | None:
    """The directory `resume_checkpoint` means; None for a new run, also when `auto` finds none.

    Raises:
        ValueError: when a directory is named that cannot be resumed from.
    """
    wanted = params.resume_checkpoint
    if wanted is None:
        return None
    if wanted == "auto":
        newest = _newest(Path(params.save_dir))
        if newest is None:
            logger.info("Nothing to resume from in %s: starting anew", params.save_dir)
        return newest
    directory = Path(wanted)
    read_card(directory)
    if not (directory / STATE).is_file():
        raise ValueError(f"{directory} cannot be resumed from: {STATE} is missing")
    return directory


def _newest(save_dir: Path) -> Path | None:
    """The complete checkpoint with the most steps of the run that `save_dir` belongs to now."""
    marker = save_dir / _RUN_ID
    if not marker.is_file():
        return None
    run_id = marker.read_text(encoding="utf-8")
    reached = {}
    for state_file in save_dir.glob(f"*/{STATE}"):
        directory = state_file.parent
        if (directory / SUCCESS).is_file() and directory.name != DIVERGED:
            state = read_tensors(state_file, only_look=True)
            if state["run_id"] == run_id:
                reached[directory] = (state["step"], state["closed_epochs"])
    # best_model holds the same state as an epoch; either will do
    return max(reached, key=lambda directory: reached[directory], default=None)
