"""The state a run saves so that a resumed run gives the same bits, and restoring it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from ..inference.model_directory import (
    STATE,
    WEIGHTS,
    read_card,
    read_tensors,
)
from ..inference.network import ModelCard
from .fingerprint import differences
from .hooks import Best
from .setup import TrainingRun
from .trainer import StepRecord

logger = logging.getLogger(__name__)

# What the optimizers of torch.optim keep for each element of a parameter. Other entries have shapes of
# their own: step counts, Adafactor's row_var and col_var, LBFGS's flat vectors.
_SHAPED_LIKE_PARAMETER = {
    "momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "square_avg", "grad_avg",
    "acc_delta", "sum", "prev", "step_size", "ax",
}  # fmt: skip


def resume_state(run: TrainingRun, best: Best, run_id: str) -> dict[str, Any]:
    """All that decides the future of a run besides its weights; tensors and plain values."""
    progress = run.progress
    state = {
        "run_id": run_id,
        "step": progress.step,
        "steps_per_epoch": progress.steps_per_epoch,
        "closed_epochs": progress.closed_epochs,
        "records": [record.as_plain() for record in progress.records],
        "settings": run.settings,
        "optimizer": run.optimizer.state_dict(),
        "precision": run.precision.state_dict(),
        "best": best.state_dict(),
        "rng": random_state(),
    }
    if run.ema is not None:  # the average itself is the model that is saved
        live = run.network.module.state_dict()
        state |= {"ema_steps": run.ema.steps, "live_weights": live}
    return state


def restore(run: TrainingRun, best: Best, directory: Path) -> str:
    """Put a run where the checkpoint left it; returns the id of the run it belongs to.

    Raises:
        ValueError: when the checkpoint is of another network, or of other settings or data that
            `allow_changes` does not admit; lists what differs.
    """
    card, state = read_card(directory), read_tensors(directory / STATE)
    _check_same(run, card, state, directory)
    tensors = read_tensors(directory / WEIGHTS)
    # with averaged weights model.pth holds the average, and the state the weights that train
    run.network.module.load_state_dict(state.get("live_weights", tensors))
    if run.ema is not None:
        run.ema.restart_from(tensors, state.get("ema_steps", 0))
    _check_same_optimizer(run, state, directory)
    _restore_optimizer(run.optimizer, state["optimizer"], directory)
    run.precision.load_state_dict(state["precision"])
    best.load_state_dict(state["best"])
    run.network.card.completed_epochs = card.completed_epochs
    run.network.card.eval_metrics = card.eval_metrics
    _restore_progress(run, state)
    run.random_state = state["rng"]
    return state["run_id"]


def random_state() -> dict[str, Any]:
    """The states of torch's generators; images and samples depend on none (see data/mapper)."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any] | None) -> None:
    """Put the generators where a checkpoint left them; the last thing to do before the first step."""
    if state is not None:
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])


def _check_same(
    run: TrainingRun, card: ModelCard, state: Mapping[str, Any], directory: Path
) -> None:
    network = _different_cards(card, run.network.card)
    if network:
        raise ValueError(f"cannot resume from {directory}: {'; '.join(network)}")
    changed = differences(state["settings"], run.settings)
    if not changed:
        return
    if not run.params.allow_changes:
        raise ValueError(
            f"cannot resume from {directory}: {'; '.join(changed)}. Set them back, or accept the "
            "change with allow_changes: true (--allow-changes on the command line)"
        )
    logger.warning("Resuming with changes: %s", "; ".join(changed))


def _different_cards(saved: ModelCard, current: ModelCard) -> list[str]:
    """What makes the networks differ, so that weights of one do not fit the other."""
    keys = ("labels", "input_format", "pretrained")
    pairs = [(key, getattr(saved, key), getattr(current, key)) for key in keys]
    return [f"{key} was {before} and is {now}" for key, before, now in pairs if before != now]


def _check_same_optimizer(run: TrainingRun, state: Mapping[str, Any], directory: Path) -> None:
    """What one optimizer keeps is of no use to another, also where `allow_changes` admits the change."""
    names = [
        chosen.get("name") if isinstance(chosen, Mapping) else chosen
        for chosen in (
            settings.get("train.optimizer") for settings in (state["settings"], run.settings)
        )
    ]
    if names[0] != names[1]:
        before, now = (name or "the built-in SGD" for name in names)
        raise ValueError(
            f"cannot resume from {directory}: the optimizer was {before} and is {now}; start a new run "
            "with its weights as pretrain_weights"
        )


def _restore_optimizer(optimizer: Optimizer, saved: dict[str, Any], directory: Path) -> None:
    """Momenta and the like as saved; rates and decays as the settings say now (mostly the same)."""
    current = optimizer.state_dict()["param_groups"]
    sizes = [
        [len(group["params"]) for group in groups] for groups in (saved["param_groups"], current)
    ]
    if sizes[0] != sizes[1] or not _shapes_fit(optimizer, saved["state"]):
        raise ValueError(
            f"cannot resume from {directory}: another set of parameters trains now (freezing or "
            "optimizer changed); start a new run with its weights as pretrain_weights"
        )
    optimizer.load_state_dict({"state": saved["state"], "param_groups": current})


def _shapes_fit(optimizer: Optimizer, saved: Mapping[int, Mapping[str, Any]]) -> bool:
    """Whether saved momenta have the shapes of the parameters that now take their numbers.

    `load_state_dict` does not look, and a fused step over tensors of other shapes ends the process.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return all(
        value.shape == parameters[index].shape
        for index, state in saved.items()
        for name, value in state.items()
        if name in _SHAPED_LIKE_PARAMETER and isinstance(value, torch.Tensor)
    )


def _restore_progress(run: TrainingRun, state: Mapping[str, Any]) -> None:
    """Where the run is; with another length of epoch, at the same share of it, without its records."""
    progress, length = run.progress, state["steps_per_epoch"]
    progress.step = state["step"]
    progress.closed_epochs = state["closed_epochs"]
    if length == progress.steps_per_epoch:
        progress.records = [StepRecord(**record) for record in state["records"]]
    else:
        # records are of steps that would now count differently
        progress.step = round(progress.step / length * progress.steps_per_epoch)
    run.set_schedule()
