"""The machine: its cores and memory, and what differs between operating systems."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import cv2

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


_MAX_WORKERS = 8


def usable_cores() -> int:
    """Cores that this process may use; all of the machine's where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def may_have_gpu() -> bool:
    """False where Linux has no device of a GPU's driver; torch, which takes seconds to load, is sure."""
    if sys.platform != "linux":
        return True
    devices = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # NVIDIA, Windows' Linux, AMD
    return any(os.path.exists(device) for device in devices)


def peak_process_memory() -> int:
    """The largest memory of this process so far, in bytes; 0 where the system does not say."""
    if resource is None:
        return 0
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # bytes on macOS, KiB on Linux


def worker_count(num_workers: int | str) -> int:
    """How many loader processes 'auto' means: half the cores, at most 8, none without fork.

    Training processes of one machine (torchrun says how many) share its cores.
    """
    if num_workers != "auto":
        return int(num_workers)
    if sys.platform != "linux":  # elsewhere a script without a main guard would start itself anew
        return 0
    cores = usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(cores // 2, _MAX_WORKERS)


@contextlib.contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Processes started in the block have OpenCV without threads: they are the parallelism.

    Set before forking: a child that did it itself could wait for threads that only its parent has.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
