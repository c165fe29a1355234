"""What a run leaves so that it can go on exactly, and taking it up again."""

from __future__ import annotations

import logging
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .best import Best
from .model_directory import STATE, SUCCESS, WEIGHTS, read_card, read_tensors
from .network import ModelCard
from .start import Run
from .trainer import StepRecord

logger = logging.getLogger(__name__)

_RUN_ID = ".run_id"


def new_run_id(save_dir: Path) -> str:
    """Mark `save_dir` as belonging to a run that begins now; models of earlier runs stay."""
    run_id = uuid.uuid4().hex
    (save_dir / _RUN_ID).write_text(run_id, encoding="utf-8")
    return run_id


def resume_state(run: Run, best: Best, run_id: str) -> dict[str, Any]:
    """All that decides the future of a run besides its weights; tensors and plain values."""
    return {
        "run_id": run_id,
        "step": run.progress.step,
        "steps_per_epoch": run.progress.steps_per_epoch,
        "records": [record.as_plain() for record in run.progress.records],
        "optimizer": run.optimizer.state_dict(),
        "schedule": run.schedule.state_dict(),
        "best": best.state_dict(),
        "rng": random_state(),
    }


def find_checkpoint(run: Run) -> Path | None:
    """The directory `resume_checkpoint` means; None when `auto` finds nothing to go on from.

    Raises:
        ValueError: when a directory is named that cannot be resumed from.
    """
    wanted = run.params.resume_checkpoint
    if wanted == "auto":
        return _newest(Path(run.params.save_dir))
    directory = Path(str(wanted))
    read_card(directory)
    if not (directory / STATE).is_file():
        raise ValueError(f"{directory} cannot be resumed from: {STATE} is missing")
    return directory


def restore(run: Run, best: Best, directory: Path) -> str:
    """Put a run where the checkpoint left it; returns the id of the run it belongs to.

    Raises:
        ValueError: when the checkpoint is of another network, data or schedule.
    """
    card = read_card(directory)
    _check_same(card, run.network.card, directory)
    run.network.module.load_state_dict(read_tensors(directory / WEIGHTS))
    state = read_tensors(directory / STATE)
    if state["steps_per_epoch"] != run.progress.steps_per_epoch:
        raise ValueError(
            f"cannot resume from {directory}: an epoch had {state['steps_per_epoch']} steps and has "
            f"{run.progress.steps_per_epoch} now (data set or train_batch_size changed); start a new "
            "run with its weights as pretrain_weights"
        )
    run.optimizer.load_state_dict(state["optimizer"])
    run.schedule.load_state_dict(state["schedule"])
    best.load_state_dict(state["best"])
    run.network.card.completed_epochs = card.completed_epochs
    run.network.card.eval_metrics = card.eval_metrics
    run.progress.step = state["step"]
    run.progress.records = [StepRecord.from_plain(record) for record in state["records"]]
    run.random_state = state["rng"]
    return state["run_id"]


def random_state() -> dict[str, Any]:
    """The states of torch's generators; order and augmentation depend on none (see data/mapper)."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any] | None) -> None:
    """Put the generators where a checkpoint left them; the last thing to do before the first step."""
    if state is not None:
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])


def _newest(save_dir: Path) -> Path | None:
    """The complete checkpoint with the most steps of the run that `save_dir` belongs to now."""
    marker = save_dir / _RUN_ID
    if not marker.is_file():
        return None
    run_id = marker.read_text(encoding="utf-8")
    steps = {}
    for state_file in save_dir.glob(f"*/{STATE}"):
        if (state_file.parent / SUCCESS).is_file():
            state = read_tensors(state_file, only_look=True)
            if state["run_id"] == run_id:
                steps[state_file.parent] = state["step"]
    # best_model holds the same step as an epoch; either will do
    return max(steps, key=lambda directory: steps[directory], default=None)


def _check_same(saved: ModelCard, current: ModelCard, directory: Path) -> None:
    before, now = asdict(saved.params), asdict(current.params)
    changed = [key for key in now if before[key] != now[key] and key != "device"]
    parts = [f"{key} was {before[key]!r} and is {now[key]!r}" for key in changed]
    for key in ("labels", "input_format", "pretrained"):
        if getattr(saved, key) != getattr(current, key):
            parts.append(f"{key} was {getattr(saved, key)} and is {getattr(current, key)}")
    if parts:
        raise ValueError(f"cannot resume from {directory}: {'; '.join(parts)}")
