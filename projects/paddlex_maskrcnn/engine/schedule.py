"""The learning rate of each step: linear warm-up, then steps down.

Formula: PaddleX 1.3 (`piecewise` decay with linear warm-up), behaviour notes 8.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..config.schema import TrainParams


def learning_rate(
    step: int,
    *,
    base: float,
    warmup_start: float,
    warmup_steps: int,
    decay_steps: Sequence[int],
    gamma: float,
) -> float:
    """The rate of a step, counted from 0.

    Args:
        base: after warm-up.
        warmup_start: of step 0.
        warmup_steps: steps until `base` is reached.
        decay_steps: steps from which the rate is multiplied by `gamma` once more.
    """
    if step < warmup_steps:
        return warmup_start + (base - warmup_start) * step / warmup_steps
    return base * gamma ** sum(step >= boundary for boundary in decay_steps)


def factor_of(params: TrainParams, steps_per_epoch: int) -> Callable[[int], float]:
    """A function step -> rate / `params.learning_rate`, for torch's LambdaLR.

    Raises:
        ValueError: when warm-up would end after the first decay.
    """
    decay_steps = [epoch * steps_per_epoch for epoch in params.lr_decay_epochs]
    if decay_steps and params.warmup_steps > decay_steps[0]:
        raise ValueError(_too_long(params, steps_per_epoch, decay_steps[0]))

    def factor(step: int) -> float:
        rate = learning_rate(
            step,
            base=params.learning_rate,
            warmup_start=params.warmup_start_lr,
            warmup_steps=params.warmup_steps,
            decay_steps=decay_steps,
            gamma=params.lr_decay_gamma,
        )
        return rate / params.learning_rate

    return factor


def _too_long(params: TrainParams, steps_per_epoch: int, first: int) -> str:
    return (
        f"warmup_steps is {params.warmup_steps}, but the first decay comes before, after "
        f"{first} steps (lr_decay_epochs begins with {params.lr_decay_epochs[0]}, an epoch has "
        f"{steps_per_epoch} steps): set warmup_steps to at most {first}, for example "
        f"{max(1, first // 4)}, or decay later"
    )
