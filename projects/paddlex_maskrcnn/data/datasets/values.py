"""Values of annotation files: one rule for whole numbers, numbers, truth values and class names.

Exporters write `"7"`, `7.0` or `"true"` where 7 and true belong. What can only be meant one way is read
as that, and the reader counts it as repaired; all else is None, and the reader names field and value
(`shown`). So it is in every format, whether the value comes from json, YAML or the text of an xml tag.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

WRITTEN_OTHERWISE = (
    "number or truth value written as text or with a decimal point, read as it is meant"
)
IGNORED_LABEL = "object or class named __ignore__ or _background_, which is none, left out"

# LabelMe's own class lists begin with them: pixels of no class
NO_CLASSES = frozenset({"__ignore__", "_background_"})

_LARGEST_INTEGER = 2**62  # ids go into arrays of int64, and more are numbered after the largest
_LARGEST_EXACT = 2.0**53  # whole floats above may have been other numbers
_DIGITS = re.compile(r"[+-]?[0-9]{1,19}(\.0{1,19})?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 40  # characters
_TRUTHS = {None: False, 0: False, 1: True, "": False, "0": False, "1": True} | {
    "false": False,
    "true": True,
}


def integer(value: Any) -> int | None:
    """The whole number that a value is, or is written as; None if it is none or too large for an id."""
    if isinstance(value, str):
        text = value.strip()
        value = int(text.partition(".")[0]) if _DIGITS.fullmatch(text) else None
    elif isinstance(value, float):
        value = int(value) if abs(value) <= _LARGEST_EXACT and value.is_integer() else None
    return value if is_integer(value) else None


def is_integer(value: Any) -> bool:
    """Whether a value is a whole number as it should be written, and not too large for an id."""
    return type(value) is int and -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER


def number(value: Any) -> float | None:
    """The finite number that a value is, or is written as; None if it is none."""
    if isinstance(value, str):
        text = value.strip()
        is_short = len(text) <= _LONGEST_NUMBER
        value = float(text) if is_short and _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer that no float can hold
        return None


def truth(value: Any) -> bool | None:
    """The truth value that a value is, or is written as; a missing one is False; None if it is none."""
    try:
        return _TRUTHS.get(value.strip().lower() if isinstance(value, str) else value)
    except TypeError:  # a list or mapping
        return None


def is_plain_truth(value: Any) -> bool:
    """Whether a truth value is written as it should be (or missing), not as text."""
    return value is None or (type(value) in (int, bool) and value in (0, 1))


def shown(value: Any) -> str:
    """A value and its type for messages, such as "'seven' (a string)"."""
    kind = {
        str: "a string", bool: "a truth value", int: "an integer", float: "a float", list: "a list",
        dict: "an object", type(None): "null",
    }.get(type(value), type(value).__name__)  # fmt: skip
    text = f"{value[:24]!r}..." if isinstance(value, str) and len(value) > 24 else _short(value)
    return f"{text} ({kind})" if value is not None else "missing or null"


def _short(value: Any) -> str:
    if isinstance(value, list | dict):  # never `repr` of what may be large
        return f"{len(value)} entries"
    if isinstance(value, int) and abs(value) > 10**18:
        return "beyond 10^18"
    return f"{value!r:.40}"


def without_ignored(labels: Sequence[str]) -> list[str]:
    """The names that are classes."""
    return [name for name in labels if name not in NO_CLASSES]
