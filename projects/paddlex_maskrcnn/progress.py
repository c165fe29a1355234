"""How far long work is: a bar with the time left in a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 60.0

Item = TypeVar("Item")


def shown(items: Iterable[Item], total: int, task: str, unit: str = "image") -> Iterator[Item]:
    """The items, one after the other, while the screen shows how many are done.

    Args:
        total: how many there are.
        task: what is done, such as "evaluating".
    """
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=task, unit=unit, leave=False, dynamic_ncols=True)
        return
    started = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - last >= _SECONDS_BETWEEN_LINES:
            left = (now - started) / done * (total - done)
            logger.info("%s: %d of %d %ss, %s left", task, done, total, unit, as_clock(left))
            last = now
        yield item


def bar(total: int, task: str, unit: str = "image", visible: bool = True) -> tqdm:
    """A bar to be moved by hand (`update`), in a terminal only; for work without an iterator.

    Args:
        total, task, unit: as in `shown`.
        visible: whether this process shows it.
    """
    # None: tqdm asks whether standard error is a terminal
    disable = None if visible else True
    return tqdm(total=total, desc=task, unit=unit, disable=disable, leave=False, dynamic_ncols=True)


def as_clock(seconds: float) -> str:
    """h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
