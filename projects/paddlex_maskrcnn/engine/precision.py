"""Mixed precision: convolutions and matrix products in 16 bits, losses and boxes in 32.

Origin: `torch.autocast` and `torch.amp.GradScaler`. The network itself turns what becomes losses
and boxes back to 32 bits (`modeling.meta_arch.keep_full_precision`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Runs forward passes, backward passes and optimizer steps in one precision."""

    def __init__(self, amp: str = "off", device: str = "cpu") -> None:
        """Choose the precision.

        Args:
            amp: off, bf16 or fp16; only fp16 needs its loss scaled, against underflow.
            device: type of the device, cpu or cuda.
        """
        self._device, self._dtype = device, DTYPES.get(amp)
        self._scaler = torch.amp.GradScaler(device, enabled=amp == "fp16")

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """What surrounds a forward pass."""
        if self._dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device, self._dtype)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of a loss."""
        self._scaler.scale(loss).backward()

    def step(
        self, optimizer: Optimizer, parameters: Iterable[nn.Parameter], max_norm: float | None
    ) -> torch.Tensor:
        """Clip the whole gradient to an L2 norm and take the optimizer's step.

        With fp16 a step whose gradients have overflowed is left out and the scale is lowered.

        Returns:
            the norm () before clipping, on the device.
        """
        self._scaler.unscale_(optimizer)
        trained = [one for one in parameters if one.grad is not None]
        norm = torch.nn.utils.get_total_norm([one.grad for one in trained])  # type: ignore[misc]
        if max_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(trained, max_norm, norm)
        self._scaler.step(optimizer)
        self._scaler.update()
        return norm

    def state_dict(self) -> dict[str, Any]:
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._scaler.load_state_dict(state)
