"""`--num-gpus N`: the short form of torchrun on one machine, and what a process it starts does first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from ..system import usable_cores


def is_launched() -> bool:
    """Whether torchrun started this process, beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def was_restarted() -> bool:
    """Whether torchrun started the processes anew after a failure (--max-restarts)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def join(device: str) -> None:
    """Join the other processes; only the first one speaks from then on.

    Args:
        device: as in `model.device`.
    """
    import logging

    from ..processes import is_main, join_processes

    join_processes(device)
    if not is_main():
        logging.getLogger("paddlex_maskrcnn").setLevel(logging.ERROR)


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `python -m paddlex_maskrcnn` with these arguments in several processes of this machine.

    SIGTERM is passed on, so that the run saves itself; returns the exit status, 143 after SIGTERM.

    Raises:
        ValueError: when there are fewer GPUs than processes.
    """
    _check_gpus(processes)
    # each process gets its share of the cores, where torchrun would give it one
    cores = max(1, usable_cores() // processes)
    environment = {"OMP_NUM_THREADS": str(cores)} | dict(os.environ)
    torchrun = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", "--module", __package__.partition(".")[0], *arguments,
    ]  # fmt: skip
    started = subprocess.Popen(torchrun, env=environment)
    return _wait(started)


def _wait(started: subprocess.Popen[bytes]) -> int:
    asked: list[int] = []

    def pass_on(number: int, frame: Any) -> None:
        asked.append(number)
        started.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        status = started.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    # as shells report a process that a signal ended; torchrun itself says 1
    return 128 + asked[0] if asked and status else status


def _check_gpus(processes: int) -> None:
    from ..processes import num_gpus

    gpus = num_gpus()
    if 0 < gpus < processes:
        raise ValueError(f"--num-gpus is {processes}, but this machine has {gpus}")
