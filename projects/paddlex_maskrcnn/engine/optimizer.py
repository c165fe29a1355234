"""The optimizer: built-in SGD, a class of torch.optim by name, or the user's own factory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from detectron2.solver import get_default_optimizer_params
from torch import nn
from torch.optim import Optimizer

from ..config.problems import suggestion
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
            f"optimizer is {chosen!r}; give null, {{name: AdamW, ...}}, or in Python a function "
            "params -> torch.optim.Optimizer"
        )
    optimizer = chosen([one for one in module.parameters() if one.requires_grad])
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"optimizer returned {optimizer!r}, not a torch.optim.Optimizer")
    return optimizer


def _by_name(
    module: nn.Module, params: TrainParams, arguments: dict[str, Any], stages: Mapping[str, float]
) -> Optimizer:
    name = arguments.pop("name", None)
    known = [one for one in dir(torch.optim) if _is_optimizer(one)]
    if name not in known:
        raise ValueError(
            f"optimizer.name is {name!r}; choose one of {', '.join(known)}{suggestion(name, known)}"
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
    one = getattr(torch.optim, name)
    return isinstance(one, type) and issubclass(one, Optimizer) and one is not Optimizer


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
