"""Checks of operator arguments: the error names the operator, the argument and what is allowed."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


def fail(operator: str, argument: str, allowed: str, value: Any) -> ValueError:
    """The error to raise for a bad argument."""
    return ValueError(f"{operator}: {argument} must be {allowed}, got {value!r}")


def unknown_name(where: str, name: str, known: Iterable[str]) -> ValueError:
    """The error to raise for a name that is not among the known ones, with the nearest of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f", did you mean {near[0]!r}?" if near else "."
    return ValueError(f"{where}: {name!r} is not a class{hint} Classes: {', '.join(names)}")


def is_number(value: Any) -> bool:
    """Whether this is an int or float, and not a bool, NaN or infinite."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and abs(value) < float("inf")


def is_integer(value: Any) -> bool:
    """Whether this is an int and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_sequence(value: Any) -> bool:
    """Whether this is a list, tuple or the like, with something in it, and no text."""
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0


def check_bool(operator: str, argument: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise fail(operator, argument, "True or False", value)
    return value


def check_fraction(operator: str, argument: str, value: Any) -> float:
    """A number from 0 to 1."""
    if not is_number(value) or not 0 <= value <= 1:
        raise fail(operator, argument, "a number from 0 to 1", value)
    return float(value)


def check_number(operator: str, argument: str, value: Any, at_least: float) -> float:
    """A number that is not too small."""
    if not is_number(value) or value < at_least:
        raise fail(operator, argument, f"a number >= {at_least:g}", value)
    return float(value)


def check_integer(operator: str, argument: str, value: Any, at_least: int) -> int:
    """An integer that is not too small."""
    if not is_integer(value) or value < at_least:
        raise fail(operator, argument, f"an integer >= {at_least}", value)
    return value


def check_numbers(operator: str, argument: str, value: Any) -> list[float]:
    """A non-empty list of numbers, one for each channel."""
    if not is_sequence(value) or not all(is_number(v) for v in value):
        raise fail(operator, argument, "a list of numbers, one for each channel", value)
    return [float(v) for v in value]


def check_range(
    operator: str, argument: str, value: Any, low: float, high: float = float("inf")
) -> tuple[float, float]:
    """[from, to], both within limits."""
    bounds = f" from {low:g} to {high:g}" if high < float("inf") else f" >= {low:g}"
    is_pair = is_sequence(value) and len(value) == 2 and all(is_number(v) for v in value)
    if not is_pair or not low <= value[0] <= value[1] <= high:
        raise fail(operator, argument, f"[lowest, highest], numbers{bounds}", value)
    return float(value[0]), float(value[1])


def check_size(operator: str, argument: str, value: Any) -> int | list[int]:
    """A side, or [width, height], in pixels."""
    if is_integer(value):
        return check_integer(operator, argument, value, 1)
    is_pair = is_sequence(value) and len(value) == 2
    if not is_pair or not all(is_integer(side) and side >= 1 for side in value):
        raise fail(operator, argument, "an integer >= 1 or [width, height]", value)
    return list(value)


def width_and_height(size: int | list[int]) -> tuple[int, int]:
    """(width, height) in pixels of what `check_size` let through."""
    width, height = (size, size) if isinstance(size, int) else size
    return width, height
