"""Exponential moving average of the weights, evaluated and saved in their place.

What: average <- decay * average + (1 - decay) * weights after each step, of parameters and of
floating-point buffers (running statistics). The decay of step n is at most (1 + n) / (10 + n), so
that the random first weights of a short run are forgotten.
Origin: TensorFlow's `ExponentialMovingAverage` with `num_updates`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import nn


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
        self._average = [one.detach().clone() for one in self._live]
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights in, after an optimizer step."""
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._average, self._live, 1 - decay)
        self.steps += 1

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
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
        for name, one in zip(self._names, self._average, strict=True):
            one.copy_(average[name])


def _floating(module: nn.Module) -> tuple[list[str], list[torch.Tensor]]:
    """Names and tensors themselves of what a saved model has in floating point."""
    tensors = module.state_dict(keep_vars=True)
    kept = {name: one for name, one in tensors.items() if one.is_floating_point()}
    return list(kept), list(kept.values())
