"""The optimizer, the learning rate of each step, and the moving average of the weights.

Optimizer: built-in SGD, a class of torch.optim by name, or the user's own factory.
Schedule: linear warm-up, then steps down; PaddleX 1.3 (`piecewise` decay with linear warm-up), behaviour
notes 8.1.
Average: average <- decay * average + (1 - decay) * weights after each step, of parameters and of
floating-point buffers (running statistics), evaluated and saved in the weights' place. The decay of step n
is at most (1 + n) / (10 + n), so that the random first weights of a short run are forgotten: TensorFlow's
`ExponentialMovingAverage` with `num_updates`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from detectron2.solver import get_default_optimizer_params
from torch import nn
from torch.optim import Optimizer

from ..config.check import suggestion
from ..config.schema import TrainParams
from ..modeling.backbone import lr_multiplier

# PaddleX trains the biases of necks and heads at twice the rate and all biases without decay.
HEAD_BIAS_LR_FACTOR, BIAS_WEIGHT_DECAY = 2.0, 0.0

Factory = Callable[[list[nn.Parameter]], Optimizer]


def build_optimizer(
    module: nn.Module, params: TrainParams, stages: Mapping[str, float]
) -> Optimizer:
    """The optimizer that `params.optimizer` asks for.

    Args:
        stages: backbone stage -> factor on the learning rate; without effect on a user's factory.

    Raises:
        ValueError: when it is no factory and no class of torch.optim, or refuses its arguments.
    """
    chosen = params.optimizer
    if chosen is None:
        groups = _groups(module, params, params.weight_decay, stages)
        # fused: one pass over weights, gradients and momenta instead of four. Not with a scaler: when
        # the first steps overflow, torch 2.14 leaves them out but keeps momenta it has not written
        fused = params.amp != "fp16"
        return torch.optim.SGD(
            groups, lr=params.learning_rate, momentum=params.momentum, fused=fused or None
        )
    if isinstance(chosen, Mapping):
        return _by_name(module, params, dict(chosen), stages)
    if not callable(chosen):
        raise ValueError(
            f"optimizer is {chosen!r}; allowed: null, {{name: AdamW, ...}}, or in Python a function "
            "params -> torch.optim.Optimizer"
        )
    optimizer = chosen([parameter for parameter in module.parameters() if parameter.requires_grad])
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"optimizer returned {optimizer!r}, not a torch.optim.Optimizer")
    return optimizer


def _by_name(
    module: nn.Module, params: TrainParams, arguments: dict[str, Any], stages: Mapping[str, float]
) -> Optimizer:
    name = arguments.pop("name", None)
    names = [member for member in dir(torch.optim) if _is_optimizer(member)]
    if name not in names:
        raise ValueError(
            f"optimizer.name is {name!r}; choose one of {', '.join(names)}{suggestion(name, names)}"
        )
    if "lr" in arguments:
        raise ValueError("optimizer.lr is given; the rate is set by learning_rate")
    decay = arguments.pop("weight_decay", params.weight_decay)
    groups = _groups(module, params, decay, stages)
    try:
        return getattr(torch.optim, name)(groups, lr=params.learning_rate, **arguments)
    except TypeError as error:
        raise ValueError(f"optimizer {name} refuses its arguments: {error}") from error


def _is_optimizer(name: str) -> bool:
    member = getattr(torch.optim, name)
    return isinstance(member, type) and issubclass(member, Optimizer) and member is not Optimizer


def _groups(
    module: nn.Module, params: TrainParams, weight_decay: float, stages: Mapping[str, float]
) -> list[dict[str, Any]]:
    return get_default_optimizer_params(
        module,
        base_lr=params.learning_rate,
        weight_decay=weight_decay,
        weight_decay_norm=0.0,
        weight_decay_bias=BIAS_WEIGHT_DECAY,
        # Detectron2's own bias_lr_factor would win over the factor of a stage
        lr_factor_func=lambda name: lr_multiplier(name, stages) * _bias_factor(name),
    )


def _bias_factor(name: str) -> float:
    in_backbone = name.startswith("backbone.") and ".fpn_" not in name
    is_head_bias = name.endswith(".bias") and not in_backbone and "norm" not in name
    return HEAD_BIAS_LR_FACTOR if is_head_bias else 1.0


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


class Ema:
    """The average of one module's weights.

    Attributes:
        steps: taken in so far.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start from the weights as they are.

        Args:
            decay: share of the average that stays at each step.
        """
        self._decay = decay
        self._names, self._live = _floating(module)
        self._average = [tensor.detach().clone() for tensor in self._live]
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights in, after an optimizer step."""
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._average, self._live, 1 - decay)
        self.steps += 1

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The module has the average for its weights while the block runs."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self) -> None:
        """Exchange weights and average without copying."""
        for live, average in zip(self._live, self._average, strict=True):
            live.data, average.data = average.data, live.data

    @torch.no_grad()
    def restart_from(self, average: Mapping[str, torch.Tensor], steps: int) -> None:
        """Go on from a saved average, the state dict of a module."""
        self.steps = steps
        for name, tensor in zip(self._names, self._average, strict=True):
            tensor.copy_(average[name])


def _floating(module: nn.Module) -> tuple[list[str], list[torch.Tensor]]:
    """Names and tensors themselves of what a saved model has in floating point."""
    tensors = module.state_dict(keep_vars=True)
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    return list(floating), list(floating.values())
