"""Errors that a user can cause, and how a command reports them: a message, no traceback, status 2."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

_OTHERS_FIRST = 15.0  # seconds; torchrun ends the other processes within a few
# How gloo and NCCL say that a process they talk to is gone.
_LOST_PEER = re.compile(
    r"[Cc]onnection (closed|reset) by peer|[Rr]emote process (has )?exited|[Bb]roken pipe|Connection refused"
)


class RunInterruptedError(RuntimeError):
    """Training was asked to end before its time; everything is saved and it can be resumed.

    Attributes:
        status: exit status of a command, 128 + the signal's number as shells count: SIGTERM 143.
    """

    def __init__(self, message: str, number: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.status = 128 + number


class TrainingTroubleError(RuntimeError):
    """Training cannot go on for a reason outside of the program; the message says what to do."""


class OutOfMemoryError(TrainingTroubleError):
    """The device has not enough memory for a step; a smaller batch may fit."""


def lost_process(error: RuntimeError) -> TrainingTroubleError | None:
    """The error to raise instead of torch's when another process of this run is gone; else None."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not _LOST_PEER.search(str(error)):
        return None
    return TrainingTroubleError(
        "another training process has ended, so this one cannot go on; what it said stands above or below. "
        "If it said nothing, the system has killed it, mostly for want of memory: fewer processes, or a "
        "smaller train_batch_size. Go on from the newest save with --resume"
    )


@dataclass
class Outcome:
    """Exit status of a command."""

    status: int = 0


@contextlib.contextmanager
def explain() -> Iterator[Outcome]:
    """Turn the errors a user can cause into one message on standard error and exit status 2.

    Everything else is a defect of ours and keeps its traceback.
    """
    outcome = Outcome()
    try:
        yield outcome
        sys.stdout.flush()  # a closed pipe shows here, not at exit
    except (ValueError, FloatingPointError, FileNotFoundError, ModuleNotFoundError) as error:
        if not _is_ours(error):
            raise
        _tell(f"error: {error}")
        outcome.status = 2
    except TrainingTroubleError as error:
        _tell(f"error: {error}")
        outcome.status = 2
    except RunInterruptedError as error:
        _tell(str(error))
        outcome.status = error.status
    except RuntimeError as error:
        if not (lost := lost_process(error)):
            raise
        _tell(f"error: {lost}")
        outcome.status = 2
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        outcome.status = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        outcome.status = 130


def _tell(message: str) -> None:
    """One message, also of several processes that made the same mistake.

    The first one speaks at once and torchrun then ends the others; one that failed alone speaks
    after a while, with its rank.
    """
    rank = os.environ.get("RANK", "0")
    if rank != "0":
        time.sleep(_OTHERS_FIRST)
        message = f"[process {rank}] {message}"
    print(message, file=sys.stderr, flush=True)


def _is_ours(error: Exception) -> bool:
    """Whether our own code raised it: a ValueError from inside torch is a defect, not advice."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith(
        __package__ or ""
    )
