"""Mistakes in a configuration: collected, so that all are told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes:
        key: the key as the user wrote it, `model.backbone` in a file, `backbone` in Python.
        message: what follows the key, for example "is 'Resnet50'; choose one of ...".
        place: file and line, or where else the value came from; empty in Python.
    """

    key: str
    message: str
    place: str = ""

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.key} {self.message}"


class ConfigError(ValueError):
    """A configuration that cannot be used; `problems` holds every mistake found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(_as_text(self.problems))


def _as_text(problems: list[Problem]) -> str:
    if len(problems) == 1:
        return str(problems[0])
    return "\n".join([f"{len(problems)} problems", *(f"  {problem}" for problem in problems)])


def suggestion(word: object, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" for the nearest known spelling, or nothing."""
    names = list(known)
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""
