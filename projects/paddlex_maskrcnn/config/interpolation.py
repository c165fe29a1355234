"""Interpolations of an experiment file, `${train.save_dir}` and `${oc.env:HOME}`, replaced by what they name.

OmegaConf does it. Before, what the result would hold is counted: ten lines `a: ${b}${b}`, `b: ${c}${c}` ...
stand for gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .check import Problem

MOST_CHARACTERS = 1_000_000  # of the result, a value counts as one more
_ENVIRONMENT = "oc.env:"
# reading a text takes OmegaConf long, and a list of problems begins anew with each
_LONGEST_TEXT, _MOST_IN_A_TEXT, _MOST_PROBLEMS = 5_000, 20, 20
# what stands between `${` and the next special character, and that character
_REFERENCE = re.compile(r"\$\{([^${}]*)(?=([$}]?))")


class _RefusedError(ValueError):
    """Why an interpolation is not resolved."""


def steps_of(key: str) -> list[str]:
    """The names and numbers that a key goes through: data, train, 1, data_dir of data.train[1].data_dir."""
    return re.findall(r"[^.\[\]]+", key)


def resolve(given: dict, origins: dict[str, str], problems: list[Problem]) -> dict:
    """The data with every interpolation replaced; what cannot be is added to the problems and None.

    Args:
        origins: full key -> where it was written.
    """
    if not _has_interpolation(given):
        return given
    for key, why in _refused(given):
        problems.append(Problem(key, f"cannot be resolved: {why}", origins.get(key, "")))
        return {}
    try:
        config = OmegaConf.create(given)
    except OmegaConfBaseException as error:  # a date, or another type that it does not take
        key = str(getattr(error, "full_key", "") or "")
        problems.append(Problem(key, _first_line(error), origins.get(key, "")))
        return {}
    for _ in range(_MOST_PROBLEMS):
        try:
            return cast(dict, OmegaConf.to_container(config, resolve=True))
        except OmegaConfBaseException as error:
            key = str(getattr(error, "full_key", "") or "")
            text = _first_line(error).partition("interpolation: ")[2] or _first_line(error)
            problems.append(Problem(key, f"cannot be resolved: {text}", origins.get(key, "")))
            if not key:
                break
            OmegaConf.update(config, key, None)  # go on to the next one that cannot be resolved
    return given


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _refused(given: dict) -> Iterator[tuple[str, str]]:
    """Keys that are not resolved, and why."""
    sizes = _Sizes(given)
    for key, value in given.items():
        try:
            size = sizes.of((str(key),), value)
        except _RefusedError as error:
            yield str(key), str(error)
            continue
        if size > MOST_CHARACTERS:
            yield str(key), f"its interpolations make more than {MOST_CHARACTERS} characters of it"


def _has_interpolation(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_interpolation(entry) for entry in value.values())
    if isinstance(value, list):
        return any(map(_has_interpolation, value))
    return isinstance(value, str) and "${" in value


class _Sizes:
    """Values and characters that parts of the data have once they are resolved, counted without doing it."""

    def __init__(self, given: dict) -> None:
        self._given = given
        self._by_path: dict[tuple[str, ...], int] = {}
        self._open: set[tuple[str, ...]] = set()

    def of(self, path: tuple[str, ...], value: Any) -> int:
        """The size of a value; `path` is where it stands."""
        if path not in self._by_path:
            if path in self._open:
                raise _RefusedError(f"{'.'.join(path)} refers to itself")
            self._open.add(path)
            self._by_path[path] = 1 + self._inside(path, value)
            self._open.remove(path)
        return self._by_path[path]

    def _inside(self, path: tuple[str, ...], value: Any) -> int:
        if isinstance(value, dict):
            return sum(self.of((*path, str(key)), entry) for key, entry in value.items())
        if isinstance(value, list):
            return sum(self.of((*path, str(k)), entry) for k, entry in enumerate(value))
        if not isinstance(value, str):
            return 0
        named = (self._target(steps) for steps in _references(path, value))
        return len(value) + sum(self.of(*target) for target in named if target)

    def _target(self, steps: tuple[str, ...]) -> tuple[tuple[str, ...], Any] | None:
        """A path that is in the data, and its value."""
        here: Any = self._given
        for step in steps:
            if isinstance(here, dict) and step in here:
                here = here[step]
            elif isinstance(here, list) and step.isdecimal() and int(step) < len(here):
                here = here[int(step)]
            else:
                return None
        return (steps, here) if steps else None


def _references(path: tuple[str, ...], text: str) -> Iterator[tuple[str, ...]]:
    """The paths that the interpolations of a text at `path` name."""
    if "${" not in text:
        return
    if len(text) > _LONGEST_TEXT or text.count("${") > _MOST_IN_A_TEXT:
        raise _RefusedError(
            f"a text with interpolations may have {_MOST_IN_A_TEXT} of them and {_LONGEST_TEXT} "
            f"characters, but it has {text.count('${')} and {len(text)}"
        )
    for inside, end in _REFERENCE.findall(text):
        if inside.lstrip().startswith(_ENVIRONMENT):
            continue
        if end == "$":
            raise _RefusedError(
                "an interpolation may stand inside another only as the default of oc.env, as in "
                "${oc.env:NAME,${train.save_dir}}"
            )
        for word in re.split(r"[\s,:'\"]+", inside):
            dots = len(word) - len(word.lstrip("."))
            base = path[: max(len(path) - dots, 0)] if dots else ()
            yield (*base, *steps_of(word))
