"""The checkpoints of a run: writing model directories with a resume state, and finding the newest."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..config.schema import TrainParams
from ..errors import RunInterruptedError, TrainingTroubleError
from ..inference.model_directory import (
    STATE,
    SUCCESS,
    copy_model_directory,
    damage_of,
    interrupted_saves,
    read_card,
    read_tensors,
    save_model_directory,
)
from ..inference.network import Network
from ..processes import is_main
from .optimizer import Ema
from .run_folder import BEST_MODEL, DIVERGED, LATEST, folder_of

logger = logging.getLogger(__name__)

# Its content is also in each resume state: `auto` goes on from states of this run only.
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

    def save(self, name: str, evaluated: Callable[[Path], None] | None = None) -> Path:
        """Write the directory `name`, weights and state, and return it.

        Args:
            evaluated: writes what was found in the held-out data to a path.

        Raises:
            TrainingTroubleError: when it cannot be written; what was there before stays.
        """
        directory = self.save_dir / name
        if not is_main():
            return directory
        state = self._state()  # of the live weights, before the average takes their place
        with (
            disk_errors_explained(directory),
            self._ema.averaged() if self._ema else contextlib.nullcontext(),
        ):
            save_model_directory(
                directory,
                self._network,
                experiment=self._experiment,
                state=state,
                evaluated=evaluated,
            )
        return directory

    def copy(self, source: str, name: str) -> None:
        """The model of directory `source` once more under another name."""
        if is_main():
            with disk_errors_explained(self.save_dir / name):
                copy_model_directory(self.save_dir / source, self.save_dir / name)

    def remove(self, name: str) -> None:
        """Take a directory away, if it is there."""
        if is_main():
            shutil.rmtree(self.save_dir / name, ignore_errors=True)


@contextlib.contextmanager
def disk_errors_explained(path: Path) -> Iterator[None]:
    """Errors of the disk in words; torch hides a full one behind a RuntimeError of its own.

    Args:
        path: what was to be written, a file or a folder.
    """
    try:
        yield
    except (TrainingTroubleError, RunInterruptedError):
        raise  # in words already: RuntimeErrors, which a disk that is full must not rename
    except (OSError, RuntimeError) as error:
        reason = _reason(error, path)
        if reason is None:
            raise
        if _is_of_another_file(error, path):
            raise TrainingTroubleError(
                f"{error}. Models saved before are whole; go on with --resume"
            ) from error
        raise TrainingTroubleError(
            f"{path} could not be saved: {reason}. Models saved before are whole; make room "
            "(keep_last: 3 keeps only the newest epochs), then go on with --resume"
        ) from error


def _reason(error: Exception, path: Path) -> str | None:
    """Why a file could not be written; None for other errors."""
    reasons = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the quota of disk space is used up",
        errno.EFBIG: "the file would be larger than is allowed here (ulimit -f)",
        errno.EROFS: "the disk is read-only",
        errno.EIO: "the disk reports an error",
    }
    if isinstance(error, OSError) and error.errno in reasons:
        return reasons[error.errno]
    if _is_full(path.parent):
        return reasons[errno.ENOSPC]
    if isinstance(error, OSError):
        return str(error) if error.filename else None
    is_torch_writing = "PytorchStreamWriter" in str(error) or "unexpected pos" in str(error)
    return "a quota or the largest size of a file is reached" if is_torch_writing else None


def _is_of_another_file(error: Exception, path: Path) -> bool:
    """Whether it names a file elsewhere, such as a picture that could not be read."""
    name = error.filename if isinstance(error, OSError) else None
    return isinstance(name, str) and not Path(name).absolute().is_relative_to(path.absolute())


def _is_full(folder: Path) -> bool:
    # a failed write may leave some blocks free; no model fits into 1 MiB
    return folder.is_dir() and shutil.disk_usage(folder).free < 2**20


def bring_best_model(source: Path, save_dir: Path, epoch: int) -> None:
    """Make sure that `best_model` is there, and is that of the run's best epoch.

    A process may have been killed after saving an epoch and before copying it, or the run may go on in
    another folder.

    Args:
        source: folder with the run's model directories.
        epoch: the best one so far; 0 when nothing was evaluated yet.
    """
    best = save_dir / BEST_MODEL
    if not epoch or _epoch_of(best) == epoch:
        return
    folders = (source / f"epoch_{epoch}", source / BEST_MODEL, save_dir / f"epoch_{epoch}")
    for directory in (*folders, source / LATEST):  # of an epoch that max_minutes ended early
        if _epoch_of(directory) == epoch:
            with disk_errors_explained(best):
                copy_model_directory(directory, best)
            logger.info("%s is epoch_%d again, copied from %s", best, epoch, directory)
            return
    logger.warning(
        "The best model so far, of epoch %d, is in none of the folders: %s will be the best of the epochs to "
        "come, if one is better", epoch, best,
    )  # fmt: skip


def _epoch_of(directory: Path) -> int | None:
    """The epoch a whole model directory was saved after."""
    try:
        return read_card(directory).completed_epochs
    except ValueError:
        return None


def new_run_id() -> str:
    """A name for a run that begins now, unlike any other."""
    return uuid.uuid4().hex


def write_run_id(save_dir: Path, run_id: str) -> None:
    """Mark `save_dir` as belonging to a run, so that `auto` goes on from its checkpoints."""
    unfinished = save_dir / f"{_RUN_ID}.unfinished"
    unfinished.write_text(run_id, encoding="utf-8")
    unfinished.replace(save_dir / _RUN_ID)


def find_checkpoint(params: TrainParams) -> Path | None:
    """The directory `resume_checkpoint` means; None for a new run, also when `auto` finds none.

    Raises:
        ValueError: when a directory is named that cannot be resumed from.
    """
    wanted = params.resume_checkpoint
    if wanted is None:
        return None
    if wanted == "auto":
        folder = folder_of(params)
        newest = _newest_whole(folder)
        if newest is None:
            logger.info("Nothing to resume from in %s: starting anew", folder)
        return newest
    directory = Path(wanted)
    card = read_card(directory)
    if not (directory / STATE).is_file():
        epoch = f"epoch_{card.completed_epochs}"
        raise ValueError(
            f"{directory} cannot be resumed from: {STATE} is missing. Name a saved epoch such as "
            f"{directory.parent / epoch}, or start a new run from its weights with "
            f"pretrain_weights: {directory}"
        )
    damage = damage_of(directory)
    if damage:
        raise ValueError(f"{directory} cannot be resumed from: {damage}")
    return directory


def _newest_whole(save_dir: Path) -> Path | None:
    """The checkpoint with the most steps of the run that `save_dir` belongs to now, damaged ones aside."""
    run_id = _run_id_of(save_dir)
    candidates = [path for path in save_dir.glob(f"*/{SUCCESS}") if path.parent.name[0] != "."]
    directories = [path.parent for path in candidates if path.parent.name != DIVERGED]
    directories += [path for path, final in interrupted_saves(save_dir) if final.name != DIVERGED]
    reached = {}
    for directory in directories:
        if not (directory / STATE).is_file() and BEST_MODEL in directory.name:
            continue  # the best model has none
        try:
            # memory-mapped: of hundreds of megabytes only three numbers are needed
            state = read_tensors(directory / STATE, only_look=True)
            if run_id in (None, state["run_id"]):
                reached[directory] = (state["step"], state["closed_epochs"])
        except (ValueError, KeyError, OSError) as error:
            logger.warning("Passed over: %s", error)
    # closed_epochs breaks ties between a state saved before and one saved after the evaluation of an epoch
    for directory in sorted(reached, key=lambda directory: reached[directory], reverse=True):
        damage = damage_of(directory)
        if not damage:
            return directory
        logger.warning("Passed over: %s is damaged: %s", directory, damage)
    return None


def _run_id_of(save_dir: Path) -> str | None:
    """None when there is none that can be read; any checkpoint then counts."""
    try:
        run_id = (save_dir / _RUN_ID).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return run_id if re.fullmatch("[0-9a-f]{32}", run_id) else None
