"""Several training processes, as `torchrun` starts them: one a GPU, or a few on a CPU.

A process learns its place from torchrun's environment (RANK, WORLD_SIZE, LOCAL_RANK). Without it
there is one process and every function here is free. Detectron2's `comm` sees the same group, so
that its components work unchanged.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch import nn

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


def leave_processes() -> None:
    """Leave the group, at the end of a program."""
    if dist.is_initialized():
        dist.destroy_process_group()


def shard() -> tuple[int, int]:
    """(rank, number of processes)."""
    return comm.get_rank(), comm.get_world_size()


def _of_this_start(store: dist.Store) -> dist.Store:
    """The store without what processes of an earlier start left there: addresses that are gone.

    torch 2.14 gives restarted processes (torchrun --max-restarts) the same keys again.
    """
    return dist.PrefixStore(f"start_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def num_gpus() -> int:
    """GPUs that torch sees on this machine."""
    return torch.cuda.device_count()


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
        gradient_as_bucket_view=True,
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
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
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
