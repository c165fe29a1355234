"""How a command line ends when the user made a mistake: one message, no traceback, status 2."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass

INTERRUPTED_STATUS = 143  # 128 + SIGTERM: the run was saved and can be resumed


class RunInterruptedError(RuntimeError):
    """Training was asked to end before its time; everything is saved and it can be resumed."""


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
    except (ValueError, FloatingPointError, FileNotFoundError, ModuleNotFoundError) as error:
        if not _is_ours(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        outcome.status = 2
    except RunInterruptedError as error:
        print(error, file=sys.stderr)
        outcome.status = INTERRUPTED_STATUS
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        outcome.status = 130


def _is_ours(error: Exception) -> bool:
    """Whether our own code raised it: a ValueError from inside torch is a defect, not advice."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith(
        __package__ or ""
    )
