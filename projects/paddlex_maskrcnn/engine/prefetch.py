"""The next batch travels to the GPU while the current step runs.

What: one batch ahead, tensors are copied from pinned memory on a stream of their own. The step that needs
them waits, on the device, for nothing but this copy.
Origin: the pattern is NVIDIA's `data_prefetcher` of Apex's ImageNet example.
Differences: an error of the loader is kept for the step whose batch is missing; a batch for which the
device has no room stays on the host, so that its own step says which images were too large; nothing is
loaded beyond the last step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch

from ..data.samples import with_tensors

Batch = list[dict[str, Any]]


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
        except Exception as error:
            return _raising(error)
        try:
            return self._lane.send(batch)
        except torch.OutOfMemoryError:
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
    """Stop a loader whose iterator can be told."""
    if hasattr(batches, "close"):
        batches.close()


def _raising(error: Exception) -> Callable[[], Batch]:
    def fail() -> Batch:
        raise error

    return fail
