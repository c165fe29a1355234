"""Which checkpoint a run goes on from."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

from ..config.schema import TrainParams
from ..inference.model_directory import (
    STATE,
    SUCCESS,
    read_card,
    read_tensors,
)
from .checkpoints import DIVERGED

logger = logging.getLogger(__name__)

_RUN_ID = ".run_id"


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
        found = _newest(Path(params.save_dir))
        if found is None:
            logger.info("Nothing to resume from in %s: starting anew", params.save_dir)
        return found
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
