"""One value or one section against its rows, with every problem collected."""

from __future__ import annotations

import functools
import logging
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from itertools import pairwise
from typing import Any

from .problems import ConfigError, Problem, suggestion
from .rows import REQUIRED, Row, default_of, row_of
from .schema import RETIRED

logger = logging.getLogger(__name__)

# (key as written) -> file and line
Locate = Callable[[str], str]


def check_value(this: Field, value: Any) -> tuple[Any, str]:
    """The value as its row's type, and what is wrong with it (empty when nothing is)."""
    row = row_of(this)
    if row.python_only or this.type is Any:
        return value, ""
    for kind in _alternatives(this.type):
        converted, fits = _convert(value, kind)
        if fits:
            return converted, _out_of_bounds(converted, row)
    return value, f"is {value!r}; {type_in_words(this.type)} is needed{_hint(row, value)}"


def check_section(
    kind: type, given: Mapping[str, Any], prefix: str = "", locate: Locate = lambda key: ""
) -> tuple[Any, list[Problem]]:
    """A section's object from what was given, and the problems.

    A wrong value leaves its default in the object, so that rules between rows can still be checked;
    the object is None when a required value is missing.

    Args:
        kind: the dataclass whose fields are rows.
        given: key -> value, as parsed.
        prefix: what stands before the key in the user's file, `model.` for instance.
        locate: where a full key was written.
    """
    by_name = {this.name: this for this in fields(kind)}
    problems, values = [], {}
    given = without_retired(kind, given, prefix, locate)
    for key, value in given.items():
        if key not in by_name:
            message = f"is not a known key{suggestion(key, by_name)}"
        else:
            converted, message = check_value(by_name[key], value)
            if not message:
                values[key] = converted
        if message:
            problems.append(Problem(prefix + str(key), message, locate(prefix + str(key))))
    problems += _missing(by_name, given, prefix, locate)
    required = {name for name, this in by_name.items() if default_of(this) is REQUIRED}
    return (kind(**values) if required <= values.keys() else None), problems


def without_retired(
    kind: type, given: Mapping[str, Any], prefix: str = "", locate: Locate = lambda key: ""
) -> dict[str, Any]:
    """What was given without the rows that no longer exist; a warning names each of these once."""
    retired = RETIRED.get(kind, {})
    for key in given.keys() & retired.keys():
        text = f"is no longer a setting and is ignored: {retired[key]}"
        _warn_once(str(Problem(prefix + key, text, locate(prefix + key))))
    return {key: value for key, value in given.items() if key not in retired}


@functools.cache  # a section is checked several times on its way from the file to its use
def _warn_once(text: str) -> None:
    logger.warning(text)


def check_arguments(kind: type, given: Mapping[str, Any]) -> Any:
    """The section's object from Python keyword arguments.

    Raises:
        ConfigError: naming every argument that cannot be used.
    """
    section, problems = check_section(kind, given)
    if problems:
        raise ConfigError(problems)
    return section


def _missing(
    by_name: dict[str, Field], given: Mapping[str, Any], prefix: str, locate: Locate
) -> list[Problem]:
    place = locate(prefix.rstrip("."))
    return [
        Problem(prefix + name, "is missing; it has no default", place)
        for name, this in by_name.items()
        if default_of(this) is REQUIRED and name not in given
    ]


def _alternatives(kind: Any) -> tuple[Any, ...]:
    union = isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
    return typing.get_args(kind) if union else (kind,)


def _convert(value: Any, kind: Any) -> tuple[Any, bool]:
    """The value as `kind` and whether it fits; numbers convert only where nothing is lost."""
    if typing.get_origin(kind) is list:
        return _convert_list(value, typing.get_args(kind)[0])
    if kind is types.NoneType:
        return None, value is None
    if kind is bool or kind is str or kind is dict:
        return value, isinstance(value, kind)
    return _convert_number(value, kind)


def _convert_list(value: Any, item: Any) -> tuple[Any, bool]:
    if not isinstance(value, (list, tuple)):
        return value, False
    pairs = [_convert(entry, item) for entry in value]
    return [entry for entry, _ in pairs], all(fits for _, fits in pairs)


def _convert_number(value: Any, kind: Any) -> tuple[Any, bool]:
    # numbers.Number would admit complex; numpy scalars have __index__ or __float__
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return value, False
    number = float(value)
    if not math.isfinite(number) or (kind is int and number != int(number)):
        return value, False
    return (int(value) if kind is int else number), True


def _out_of_bounds(value: Any, row: Row) -> str:
    if row.values is not None and value is not None:
        chosen = value if isinstance(value, list) else [value]
        for one in (one for one in chosen if one not in row.values):
            return f"is {value!r}; choose one of {row.allowed()}{suggestion(one, row.values)}"
        return ""
    numbers = value if isinstance(value, list) else [value]
    numbers = [number for number in numbers if isinstance(number, (int, float))]
    wrong = not all(_inside(number, row) for number in numbers)
    if isinstance(value, list):
        wrong |= row.length is not None and len(value) != row.length
        wrong |= row.increasing and any(a >= b for a, b in pairwise(value))
    if isinstance(value, str) and row.values is None and row.allowed() and value != "auto":
        return f"is {value!r}; a number {row.allowed()} or 'auto' is needed"
    return f"is {value!r}; allowed: {row.allowed()}" if wrong else ""


def _inside(number: float, row: Row) -> bool:
    return (
        (row.above is None or number > row.above)
        and (row.at_least is None or number >= row.at_least)
        and (row.below is None or number < row.below)
        and (row.at_most is None or number <= row.at_most)
    )


_WORDS = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a text",
    dict: "a mapping", types.NoneType: "null",
}  # fmt: skip
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts", dict: "mappings"}


def type_in_words(kind: Any) -> str:
    """A type as people say it: `a list of numbers`, `a whole number or null`."""
    words = []
    for one in _alternatives(kind):
        if typing.get_origin(one) is list:
            words.append(f"a list of {_plural(typing.get_args(one)[0])}")
        else:
            words.append(_WORDS.get(one, "anything"))
    return " or ".join(words)


def _plural(kind: Any) -> str:
    if typing.get_origin(kind) is list:
        return f"lists of {_plural(typing.get_args(kind)[0])}"
    return _PLURALS[kind]


def _hint(row: Row, value: Any) -> str:
    if row.values is not None:
        return f"; choose one of {row.allowed()}{suggestion(value, row.values)}"
    return f" ({row.allowed()})" if row.allowed() else ""
