"""`--num-gpus N`: the short form of torchrun on one machine, and what a process it starts does first."""

from __future__ import annotations

import logging
import os
import signal
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
    from ..processes import is_main, join_processes

    join_processes(device)
    if not is_main():
        logging.getLogger("paddlex_maskrcnn").setLevel(logging.ERROR)


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `python -m paddlex_maskrcnn` with these arguments in several processes of this machine.

    SIGTERM is passed on, so that the run saves itself, and Ctrl+C asks for the same. A process that is
    killed ends the others; one sentence says so, and torchrun's table follows.

    Returns:
        the exit status: that of the first process to fail, 143 after SIGTERM, 130 after Ctrl+C, 137 when a
        process was killed.

    Raises:
        ValueError: when there are fewer GPUs than processes.
    """
    _check_gpus(processes)
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    # each process gets its share of the cores, where torchrun would give it one
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // processes)))
    options = ["--standalone", f"--nproc-per-node={processes}", "--signals-to-handle=SIGTERM"]
    command = ["--module", __package__.partition(".")[0], *arguments]
    interrupted: list[int] = []

    def as_sigterm(number: int, frame: Any) -> None:
        interrupted.append(number)
        os.kill(os.getpid(), signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, as_sigterm)
    logging.disable(logging.ERROR)  # torch's own account of a failure, before the sentence
    try:
        run(parse_args([*options, *command]))
    except SignalException as error:
        return 128 + (interrupted[0] if interrupted else error.sigval)
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        if first.exitcode > 0:  # it has said why
            return first.exitcode
        name = signal.Signals(-first.exitcode).name
        print(_killed(f"the process of rank {rank} ({processes} in all)", name), file=sys.stderr)
        print(error, file=sys.stderr)
        return 128 - first.exitcode
    finally:
        logging.disable(logging.NOTSET)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _killed(process: str, signal_name: str) -> str:
    memory = (
        "The system does so when memory runs out: train with fewer processes or a smaller train_batch_size. "
        if signal_name == "SIGKILL"
        else ""
    )
    return f"error: {process} was ended by {signal_name}. {memory}Go on from the newest save with --resume"


def _check_gpus(processes: int) -> None:
    from ..processes import num_gpus

    gpus = num_gpus()
    if 0 < gpus < processes:
        raise ValueError(f"--num-gpus is {processes}, but this machine has {gpus}")
