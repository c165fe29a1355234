"""Checks of operator arguments: the error names the operator, the argument and what is allowed."""

from collections.abc import Sequence
from typing import Any


def fail(operator: str, argument: str, allowed: str, value: Any) -> ValueError:
    """The error to raise for a bad argument."""
    return ValueError(f"{operator}: {argument} must be {allowed}, got {value!r}")


def is_number(value: Any) -> bool:
    """Whether this is an int or float, and not a bool or NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def is_integer(value: Any) -> bool:
    """Whether this is an int and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_fraction(operator: str, argument: str, value: Any) -> float:
    """A number from 0 to 1."""
    if not is_number(value) or not 0 <= value <= 1:
        raise fail(operator, argument, "a number from 0 to 1", value)
    return float(value)


def check_integer(operator: str, argument: str, value: Any, at_least: int) -> int:
    """An integer that is not too small."""
    if not is_integer(value) or value < at_least:
        raise fail(operator, argument, f"an integer >= {at_least}", value)
    return value


def check_numbers(operator: str, argument: str, value: Any) -> list[float]:
    """A non-empty list of numbers, one for each channel."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if not is_list or not value or not all(is_number(v) for v in value):
        raise fail(operator, argument, "a list of numbers, one for each channel", value)
    return [float(v) for v in value]
