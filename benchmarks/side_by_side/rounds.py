"""Measuring: contestants taking turns, the ratios of their times, and the memory of a process.

A ratio is taken within each round, where both met the same machine; its median and quartiles over
the rounds are what is reported. Each round begins with another contestant.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Work = Callable[[], Any]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a few values."""

    median: float
    q1: float
    q3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
        return cls(float(median), float(q1), float(q3))


def take_turns(
    work: Mapping[str, Work],
    rounds: int,
    *,
    clock: str = "wall",
    device: str = "cpu",
    warm_up: int = 1,
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round.

    Args:
        work: contestant -> what is timed; all of it is called in every round.
        rounds: that count.
        clock: `wall`, or `cpu`: seconds of all threads of this process.
        device: `cuda` waits for the GPU before and after each contestant.
        warm_up: rounds before them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    gc.collect()
    gc.freeze()  # so that collecting before each call looks at what the calls have left alone
    try:
        for turn in range(-warm_up, rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                took = timed(work[name], clock, device)
                if turn >= 0:
                    seconds[name].append(took)
    finally:
        gc.unfreeze()
    return seconds


def timed(work: Work, clock: str = "wall", device: str = "cpu") -> float:
    """Seconds of one call; garbage of earlier ones is collected before the clock starts."""
    now = time.perf_counter if clock == "wall" else time.process_time
    gc.collect()
    wait_for(device)
    start = now()
    work()
    wait_for(device)
    return now() - start


def wait_for(device: str) -> None:
    """Let the GPU finish what it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times longer theirs took, round by round: above 1, ours is faster (or smaller)."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval that holds the true median, from order statistics alone.

    The count of values below the median is binomial (n, 1/2), whatever their distribution. With
    fewer than six values 95 % is out of reach: lowest and highest are given.
    """
    ordered = sorted(values)
    n = len(ordered)
    left_out = 0
    tail = 0.5**n
    while left_out + 1 <= (n - 1) // 2:
        tail += math.comb(n, left_out + 1) * 0.5**n
        if 2 * tail > 1 - confidence:
            break
        left_out += 1
    return ordered[left_out], ordered[n - 1 - left_out]


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module returns in a fresh process, whose peak memory is its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def resident_mib() -> float:
    """What the process holds now."""
    return _status("VmRSS")


def peak_mib() -> float:
    """The most it held since the start, or since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Begin a new peak with what is held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(name)
