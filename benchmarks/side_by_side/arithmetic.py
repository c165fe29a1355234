"""How much arithmetic the machine does in a second."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode


def best_speed(now: Callable[[], float]) -> float:
    """Operations a second, two a multiplication: the most seen in a convolution and in a matrix product.

    Args:
        now: a clock, in seconds.
    """
    pixels, square = torch.rand(1, 256, 96, 96), torch.rand(1536, 1536)
    weight = torch.rand(256, 256, 3, 3)
    with torch.no_grad():
        return max(
            speed(lambda: torch.conv2d(pixels, weight, padding=1), now),
            speed(lambda: square @ square, now),
        )


def speed(work: Callable[[], object], now: Callable[[], float], times: int = 9) -> float:
    """Operations a second of the work, the fastest of some times."""
    with FlopCounterMode(display=False) as counter:
        work()
    taken = []
    for _ in range(times):
        start = now()
        work()
        taken.append(now() - start)
    return counter.get_total_flops() / min(taken)
