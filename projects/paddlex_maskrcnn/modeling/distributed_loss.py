"""Losses that are means over a number of regions, when the regions are spread over processes.

Why: gradients are averaged over processes. A mean over the regions of one process, averaged, is not
the mean over all regions unless every process has the same number. With `rank_weight` it is, and
several processes train as one would on the whole batch.
Differences from Detectron2: it averages the processes' means. With one process nothing changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch
import torch.distributed as dist

# Losses are computed deep inside Detectron2's methods, whose arguments are fixed.
_is_local: ContextVar[bool] = ContextVar("losses are those of this process", default=False)


@contextlib.contextmanager
def local_losses() -> Iterator[None]:
    """Losses in this block are those of this process, as on held-out data that is divided up."""
    token = _is_local.set(True)
    try:
        yield
    finally:
        _is_local.reset(token)


def world_size() -> int:
    """Processes whose losses are averaged."""
    if _is_local.get():
        return 1
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank_weight(count: int, device: torch.device) -> torch.Tensor | float:
    """Factor on a mean over `count` regions, so that averaged over processes it is that of all.

    Every process must call this the same number of times.
    """
    if world_size() == 1:
        return 1.0
    mean = mean_count(torch.full((), float(count), device=device))
    return count / mean.clamp(min=1 / world_size())


def mean_count(count: torch.Tensor) -> torch.Tensor:
    """Mean over the processes of a count () of regions."""
    if world_size() == 1:
        return count
    total = count.float()
    dist.all_reduce(total)
    return total / world_size()
