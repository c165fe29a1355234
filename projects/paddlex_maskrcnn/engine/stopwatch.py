"""Where the time of a piece of work goes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Seconds of named parts, added up over all their turns.

    Attributes:
        seconds: part -> seconds so far.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what is done inside towards a part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[part] = self.seconds.get(part, 0.0) + spent

    def each(self, part: str, items: Iterable[T]) -> Iterator[T]:
        """The items; the time they take to come counts towards a part."""
        iterator = iter(items)
        nothing = object()
        while True:
            with self.of(part):
                item = next(iterator, nothing)
            if item is nothing:
                return
            yield item  # type: ignore[misc]

    def __str__(self) -> str:
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in self.seconds.items())
        return f"{sum(self.seconds.values()):.1f} s: {parts}"
