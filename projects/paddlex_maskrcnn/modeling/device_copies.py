"""Not to wait for the device: what takes other ways on a GPU than on a CPU, and copies to it.

Why: kernels are queued by the host, which goes on. To learn a number from the device, even only how
many foreground proposals there are, it has to wait until the queue is empty; then the device waits until
there is something in it again. On a GPU sizes are therefore fixed where they can be, places left over
are masked, and what the host does need it reads in one copy for the whole batch.
Origin: ours; docs/performance_profile.md lists what is waited for.
"""

from __future__ import annotations

import torch

from .fast_path import is_fast


def spares_waits(x: torch.Tensor) -> bool:
    """Whether the ways that do not wait for this tensor's device may be taken here and now."""
    return x.device.type != "cpu" and is_fast()


def send(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on the device; if it comes from the host, neither waits for the other."""
    if values.device.type == "cpu" and device.type == "cuda":  # only pinned memory is read later
        values = values.pin_memory()
    return values.to(device, non_blocking=True)
