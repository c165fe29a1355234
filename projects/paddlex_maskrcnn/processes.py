"""Several training processes, as `torchrun` starts them: one a GPU, or a few on a CPU.

A process reads its rank from torchrun's environment (RANK, WORLD_SIZE, LOCAL_RANK). Without it
there is one process and every function here is free. Detectron2's `comm` sees the same group, so
that its components work unchanged.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch import nn

from .system import usable_cores

# The others wait this long while the first one scores a large data set or writes a model.
_TIMEOUT = timedelta(hours=1)


def join_processes(device: str) -> None:
    """Join the processes that torchrun started; nothing to do when it started none, or again.

    Args:
        device: as in `model.device`, where the network will run: decides how gradients travel.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # gloo beside nccl carries what lies on the CPU: results, decisions
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    store, rank, world = next(dist.rendezvous("env://", timeout=_TIMEOUT))
    dist.init_process_group(
        backend, timeout=_TIMEOUT, rank=rank, world_size=world, store=_of_this_start(store)
    )


def shard() -> tuple[int, int]:
    """(rank, number of processes)."""
    return comm.get_rank(), comm.get_world_size()


def _of_this_start(store: dist.Store) -> dist.Store:
    """The store without what processes of an earlier start left there: addresses that are gone.

    torch 2.14 gives restarted processes (torchrun --max-restarts) the same keys again.
    """
    return dist.PrefixStore(f"start_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def gpu_memory_gib() -> float | None:
    """Memory of the GPU that this process uses; None without."""
    if not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / 2**30


def is_main() -> bool:
    """Whether this process writes files and log lines."""
    return comm.is_main_process()


def across_processes(module: nn.Module) -> nn.Module:
    """The module to call in training: its gradients are averaged over the processes."""
    if comm.get_world_size() == 1:
        return module
    on_gpu = next(module.parameters()).is_cuda
    return nn.parallel.DistributedDataParallel(
        module,
        device_ids=[torch.cuda.current_device()] if on_gpu else None,
        **_keep_own_buffers(),
        gradient_as_bucket_view=True,  # saves a second copy of all gradients
    )


def _keep_own_buffers() -> dict[str, Any]:
    """Running statistics are not copied from the first process in every step."""
    options = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    newer = "forward_sync_buffers"  # torch 2.14 renamed it
    return {newer if newer in options else "broadcast_buffers": False}


def wait_for_all() -> None:
    """Go on when every process has come here, and with it what the main one has written."""
    comm.synchronize()


def mean_of_all(values: torch.Tensor) -> torch.Tensor:
    """Element by element the mean over the processes."""
    if comm.get_world_size() > 1:
        dist.all_reduce(values)
        values /= comm.get_world_size()
    return values


def to_host(values: torch.Tensor) -> Callable[[], list[float]]:
    """Send values (N,) to the host; what is returned waits for them, but for no later work."""
    if not values.is_cuda:
        return values.tolist
    # only a copy into pinned memory is asynchronous
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    # .item() would wait for the whole queue, the backward pass included; the event is before that
    arrived = torch.cuda.Event()
    arrived.record()

    def wait() -> list[float]:
        arrived.synchronize()
        return host.tolist()

    return wait


def from_main(value: Any) -> Any:
    """The main process's value (anything that pickles) in every process."""
    if comm.get_world_size() == 1:
        return value
    box = [value]
    # on the CPU, by gloo: nccl would need the pickled bytes in GPU memory
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def to_main(rows: Sequence[Any]) -> list[Any]:
    """The rows of all processes in order of rank, in the main process; elsewhere nothing."""
    if comm.get_world_size() == 1:
        return list(rows)
    parts = comm.gather(list(rows))
    return [row for part in parts for row in part]


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """The main process runs the block before the others do, so that they find what it has written."""
    if not is_main():
        comm.synchronize()
    try:
        yield
    finally:
        if is_main():
            comm.synchronize()


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
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise ValueError(f"--num-gpus is {processes}, but this machine has {gpus}")
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    # each process gets its share of the cores, where torchrun would give it one
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // processes)))
    options = ["--standalone", f"--nproc-per-node={processes}", "--signals-to-handle=SIGTERM"]
    command = ["--module", __package__, *arguments]
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
