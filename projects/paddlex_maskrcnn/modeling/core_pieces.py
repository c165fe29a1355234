"""Pieces of one computation, each on a core of its own.

What: torch lets its threads share every single operator and wait for each other after it. Work of many
small operators is done sooner when each thread does all operators of one piece after the other.
Origin: a pool of Python threads, which torch's operators let run at the same time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")

_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def for_each(work: Callable[[Piece], None], pieces: Sequence[Piece]) -> None:
    """Do all pieces, on as many threads as torch has; without gradients and without autocast.

    Args:
        work: writes its result where no other piece does.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(pieces) < 2:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):  # as on threads of their own
            for one in pieces:
                work(one)
        return
    inference = torch.is_inference_mode_enabled()

    def on_its_own(one: Piece) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            work(one)

    for _ in _pool(threads).map(on_its_own, pieces):
        pass


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools[threads] = _started(threads)
        return _pools[threads]


def _started(threads: int) -> ThreadPoolExecutor:
    """Threads that give one core to each operator.

    torch keeps the number of cores for each thread. It sets a thread's to the general one when the
    thread first asks, so that comes first; setting it also changes the general one for threads that
    start later, which is set back once all have started.
    """
    together = threading.Barrier(threads)

    def begin() -> None:
        torch.get_num_threads()
        torch.set_num_threads(1)
        together.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="pieces")
    try:
        for one in [pool.submit(begin) for _ in range(threads)]:
            one.result()
    except BaseException:  # a thread could not start: those that wait for it are to end
        together.abort()
        pool.shutdown(wait=False)
        raise
    finally:
        torch.set_num_threads(threads)
    return pool


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
