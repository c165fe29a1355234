"""What a process that torchrun (or `--num-gpus`) has started does first."""

from __future__ import annotations

import logging
import os


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
