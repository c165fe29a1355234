"""How training uses a device: mixed precision, memory format, and prefetching of batches.

Mixed precision: convolutions and matrix products in 16 bits, losses and boxes in 32, by `torch.autocast` and
`torch.amp.GradScaler`; the network itself turns what becomes losses and boxes back to 32 bits
(`modeling.meta_arch.keep_full_precision`).
Memory format: in 16 bits cuDNN convolves channels-last; weights in another order would be copied in every
step. Only the order in memory changes, no value, name or shape.
https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html
Prefetching: one batch ahead, tensors are copied from pinned memory on a stream of their own. The step that
needs them waits, on the device, for nothing but this copy. The pattern is NVIDIA's `data_prefetcher` of
Apex's ImageNet example. Differences: an error of the loader is kept for the step whose batch is missing;
a batch for which the device has no room stays on the host, so that its own step says which images were
too large; nothing is loaded beyond the last step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from ..data.samples import with_tensors

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Batch = list[dict[str, Any]]


class Precision:
    """Runs forward passes, backward passes and optimizer steps in one precision."""

    def __init__(self, amp: str = "off", device: str = "cpu") -> None:
        """Choose the precision.

        Args:
            amp: off, bf16 or fp16; only fp16 needs its loss scaled, against underflow.
            device: type of the device, cpu or cuda.
        """
        self._device, self._dtype = device, DTYPES.get(amp)
        # with bf16 and in 32 bits the scaler is disabled and each of its calls passes through
        self._scaler = torch.amp.GradScaler(device, enabled=amp == "fp16")

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """What surrounds a forward pass."""
        if self._dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device, self._dtype)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of a loss."""
        self._scaler.scale(loss).backward()

    @property
    def leaves_out_overflows(self) -> bool:
        """Whether a step with gradients that are not finite is left out: with fp16."""
        return self._scaler.is_enabled()

    def clip(
        self, optimizer: Optimizer, parameters: Iterable[nn.Parameter], max_norm: float | None
    ) -> torch.Tensor:
        """Clip the whole gradient to an L2 norm.

        Returns:
            the norm () before clipping, on the device.
        """
        self._scaler.unscale_(optimizer)  # first, so that the norm is of the true gradients
        trained = [parameter for parameter in parameters if parameter.grad is not None]
        # not clip_grad_norm_: the norm is logged without clipping too, and computed once
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in trained])  # type: ignore[misc]
        if max_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(trained, max_norm, norm)
        return norm

    def step(self, optimizer: Optimizer) -> None:
        """Take the optimizer's step.

        With fp16 a step whose gradients have overflowed is left out and the scale is lowered.
        """
        self._scaler.step(optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._scaler.load_state_dict(state)


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
    changed = any(not parameter.is_contiguous() for parameter in module.parameters())
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
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            of_weight = isinstance(value, torch.Tensor) and value.shape == parameter.shape
            if of_weight and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


class Lane(Protocol):
    """A way for batches to the device."""

    def send(self, batch: Batch) -> Callable[[], Batch]:
        """Start the copy; what is returned makes the current work wait for it, and hands it over."""
        ...


class SideStream:
    """Copies on a CUDA stream of their own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def send(self, batch: Batch) -> Callable[[], Batch]:
        """As `Lane`."""
        sent: list[torch.Tensor] = []

        def copy(tensor: torch.Tensor) -> torch.Tensor:
            sent.append(tensor.to(self._device, non_blocking=True))
            return sent[-1]

        with torch.cuda.stream(self._stream):
            batch = [with_tensors(sample, copy) for sample in batch]

        def receive() -> Batch:
            current = torch.cuda.current_stream(self._device)
            current.wait_stream(self._stream)
            # their memory belongs to the side stream, which must not reuse it yet
            for tensor in sent:
                tensor.record_stream(current)
            return batch

        return receive


class Prefetcher(Iterator[Batch]):
    """Batches of an iterator in its order, each sent off one step before it is asked for."""

    def __init__(self, batches: Iterator[Batch], lane: Lane, count: int) -> None:
        """Load nothing yet.

        Args:
            batches: of the loader.
            lane: to the device.
            count: batches that will be asked for; later ones are not sent ahead.
        """
        self._batches, self._lane, self._left = batches, lane, count
        self._sent: Callable[[], Batch] | None = None

    def __next__(self) -> Batch:
        receive = self._sent or self._send_next()
        self._sent = None
        batch = receive()  # before the next one is sent, for which nobody is to wait
        self._left -= 1
        # after the last one a loader would begin an epoch that nobody trains on
        if self._left > 0:
            self._sent = self._send_next()
        return batch

    def close(self) -> None:
        """Stop the loader."""
        self._sent = None
        close(self._batches)

    def _send_next(self) -> Callable[[], Batch]:
        try:
            batch = next(self._batches)
        except Exception as error:  # of a later batch: the current step can still be done
            return _raising(error)
        try:
            return self._lane.send(batch)
        except torch.OutOfMemoryError:  # its own step tries again and explains
            return lambda: batch


@contextlib.contextmanager
def on_device(
    batches: Iterator[Batch], device: torch.device, count: int
) -> Iterator[Iterator[Batch]]:
    """The batches, sent ahead to a GPU; at the end of the block the loader is stopped.

    Args:
        count: batches that will be asked for.
    """
    if device.type == "cuda":
        batches = Prefetcher(batches, SideStream(device), count)
    try:
        yield batches
    finally:
        close(batches)


def close(batches: Iterator[Batch]) -> None:
    """Stop a loader whose iterator has a `close`; its worker processes end with it."""
    if hasattr(batches, "close"):
        batches.close()


def _raising(error: Exception) -> Callable[[], Batch]:
    def fail() -> Batch:
        raise error

    return fail
