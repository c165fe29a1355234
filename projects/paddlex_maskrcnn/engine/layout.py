"""Weights with the channels of a pixel together, for 16-bit training on a GPU.

Why: in 16 bits cuDNN convolves channels-last; weights in another order would be copied in every step.
What: only the order in memory changes, no value, name or shape.
Origin: https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.optim import Optimizer


def wants_channels_last(device: torch.device, amp: str) -> bool:
    """Whether training on this device, in this precision, is faster with channels last."""
    return device.type == "cuda" and amp != "off"


def channels_last(module: nn.Module) -> None:
    """Order a module's weights channels-last, in place."""
    module.to(memory_format=torch.channels_last)


def channels_first(module: nn.Module) -> None:
    """Order a module's weights as torch makes them, in place."""
    module.to(memory_format=torch.contiguous_format)


@contextlib.contextmanager
def usual_layout(module: nn.Module) -> Iterator[None]:
    """Weights as torch orders them while the block runs: evaluation computes in 32 bits."""
    changed = any(not one.is_contiguous() for one in module.parameters())
    if changed:
        channels_first(module)
    try:
        yield
    finally:
        if changed:
            channels_last(module)


def match_layouts(optimizer: Optimizer) -> None:
    """Order what an optimizer keeps as its weights are: fused steps go through both side by side.

    A checkpoint may be of a run in another order.
    """
    for parameter, kept in optimizer.state.items():
        for name, value in kept.items():
            of_weight = isinstance(value, torch.Tensor) and value.shape == parameter.shape
            if of_weight and value.stride() != parameter.stride():
                kept[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
