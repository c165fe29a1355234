"""What is computed from weights, computed anew only after these have changed.

torch counts the changes of a tensor, but not those of its fused optimizers (the default, SGD, is one), nor
those made through `.data`. Modules therefore forget what they kept when they change between training and
evaluation, and whoever computes without gradients within a training step lets them forget first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import nn

Value = TypeVar("Value")


def kept(
    module: nn.Module, name: str, tensors: Sequence[torch.Tensor], compute: Callable[[], Value]
) -> Value:
    """The value kept under this name; computed without gradients if a tensor has changed since.

    Args:
        module: keeps it, beside its parameters and outside its state dict.
        tensors: what the value depends on. Those of inference mode do not count their changes, so that
            nothing is kept for them.
    """
    values: dict[str, tuple[Any, Value]] = module.__dict__.setdefault("_kept", {})
    counts = not any(one.is_inference() for one in tensors)
    state = [(one.data_ptr(), one._version) for one in tensors] if counts else None
    if name not in values or state is None or values[name][0] != state:
        with torch.inference_mode(False), torch.no_grad():
            values[name] = state, compute()
    return values[name][1]


def forget(module: nn.Module) -> None:
    """Keep nothing that was computed so far."""
    module.__dict__.pop("_kept", None)


def forget_all(module: nn.Module) -> None:
    """The same for all modules in it."""
    for one in module.modules():
        forget(one)
