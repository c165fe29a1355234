"""Values and sections against their parameters; mistakes are collected, so that all are told at once."""

from __future__ import annotations

import difflib
import functools
import logging
import math
import os
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from itertools import islice, pairwise
from typing import Any

from .params import REQUIRED, Param, default_of, param_of
from .schema import RETIRED

logger = logging.getLogger(__name__)

# (key as written) -> file and line
Locate = Callable[[str], str]

AUTO = "auto"
_MOST_LISTED = 50
_LONGEST_WORD = 100  # that spellings are compared with


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes:
        key: the key as the user wrote it, `model.backbone` in a file, `backbone` in Python.
        message: what follows the key, for example "is 'Resnet50'; choose one of ...".
        origin: file and line, or where else the value came from; empty in Python.
    """

    key: str
    message: str
    origin: str = ""

    def __str__(self) -> str:
        origin = f"{self.origin}: " if self.origin else ""
        return f"{origin}{self.key} {self.message}"


class ConfigError(ValueError):
    """A configuration that cannot be used; `problems` holds every mistake found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(_as_text(self.problems))


def _as_text(problems: list[Problem]) -> str:
    if len(problems) == 1:
        return str(problems[0])
    listed = [f"  {problem}" for problem in problems[:_MOST_LISTED]]
    more = len(problems) - len(listed)
    rest = [f"  and {more} more"] if more else []
    return "\n".join([f"{len(problems)} problems", *listed, *rest])


class _Short(reprlib.Repr):
    """`repr` that ends early, in the order of the value and without building the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 3, 200, 200, 500
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 20

    def repr_int(self, value: int, level: int) -> str:
        # Python writes no longer ones
        return super().repr_int(value, level) if value.bit_length() < 14_000 else "a huge number"

    def repr_dict(self, value: Any, level: int) -> str:
        if level <= 0:
            return "{...}" if value else "{}"
        pairs = [
            f"{self.repr1(key, level - 1)}: {self.repr1(entry, level - 1)}"
            for key, entry in islice(value.items(), self.maxdict)
        ]
        return "{" + ", ".join(pairs + ["..."] * (len(value) > self.maxdict)) + "}"


def short_repr(value: object, most: int = 500) -> str:
    """A user's value for a message: its `repr`, of which no more than the start is ever built."""
    text = _Short().repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def suggestion(word: object, choices: Iterable[str]) -> str:
    """ "; did you mean 'x'?" for the nearest known spelling, or nothing."""
    word = word if isinstance(word, str) else short_repr(word)
    if len(word) > _LONGEST_WORD:
        return ""
    names = list(choices)
    by_lower = {name.lower(): name for name in names}
    # of three letters two in common say nothing: gpu is not cpu
    cutoff = 0.6 if len(word) > 3 else 0.7
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def check_value(this: Field, value: Any) -> tuple[Any, str]:
    """The value as its parameter's type, and what is wrong with it (empty when nothing is)."""
    param = param_of(this)
    if param.python_only or this.type is Any:
        return value, ""
    if isinstance(value, bool) and param.values is not None:
        # YAML reads `off` and `on` as truth values
        word = "on" if value else "off"
        value = word if word in param.values else value
    # in the order they are written: of `int | list[int]` the number first
    for kind in alternatives(this.type):
        converted, fits = _convert(value, kind)
        if fits:
            return converted, _out_of_bounds(converted, param)
    return value, f"is {short_repr(value)}; {_needed(this, value)}"


def check_section(
    kind: type,
    given: Mapping[str, Any],
    prefix: str = "",
    locate: Locate = lambda key: "",
    auto: list[str] | None = None,
) -> tuple[Any, list[Problem]]:
    """A section's object from what was given, and the problems.

    A wrong value leaves its default in the object, so that rules between sections can still be
    checked; the object is None when a required value is missing.

    Args:
        kind: the dataclass whose fields are parameters. Rules between them are its method `broken_rules`,
            which yields (name, what is wrong).
        given: key -> value, as parsed.
        prefix: what stands before the key in the user's file, `model.` for instance.
        locate: where a full key was written.
        auto: extended by the full keys whose value is `auto`, where that is admitted; the object has a number
            in its place that means nothing. None where nobody can choose a value later: in Python.
    """
    by_name = {this.name: this for this in fields(kind)}
    problems, values = [], {}
    given = without_retired(kind, given, prefix, locate)
    for key, value in given.items():
        if key not in by_name:
            near = suggestion(key, by_name) or f"; choose one of {', '.join(by_name)}"
            message = f"is not a known key{near}"
        elif auto is not None and param_of(by_name[key]).auto and value == AUTO:
            auto.append(prefix + key)
            values[key], message = _placeholder(by_name[key]), ""
        else:
            converted, message = check_value(by_name[key], value)
            if not message:
                values[key] = converted
            elif param_of(by_name[key]).auto:
                message += _about_auto(value, in_file=auto is not None)
        if message:
            problems.append(Problem(prefix + str(key), message, locate(prefix + str(key))))
    problems += _missing(by_name, given, prefix, locate)
    required = {name for name, this in by_name.items() if default_of(this) is REQUIRED}
    if not required <= values.keys():
        return None, problems
    section = kind(**values)
    if hasattr(section, "broken_rules"):
        wrong = given.keys() - values.keys()  # their defaults stand in the section
        problems += [
            Problem(prefix + name, message, locate(prefix + name))
            for name, message in section.broken_rules()
            if name not in wrong
        ]
    return section, problems


def _placeholder(this: Field) -> Any:
    default = default_of(this)
    return 1 if default is REQUIRED else default


def _about_auto(value: Any, in_file: bool) -> str:
    """What a message adds of a parameter that may be `auto` in an experiment file."""
    if in_file:
        return f", or {AUTO}{suggestion(value, [AUTO]) if isinstance(value, str) else ''}"
    if value == AUTO:
        return f" ({AUTO} is for experiment files and pdx.fit, which know data and machine)"
    return ""


def without_retired(
    kind: type, given: Mapping[str, Any], prefix: str = "", locate: Locate = lambda key: ""
) -> dict[str, Any]:
    """What was given without the parameters that no longer exist; a warning names each of these once."""
    retired = RETIRED.get(kind, {})
    for key in given.keys() & retired.keys():
        text = f"is no longer a setting and is ignored: {retired[key]}"
        _warn_once(str(Problem(prefix + key, text, locate(prefix + key))))
    return {key: value for key, value in given.items() if key not in retired}


@functools.cache  # the same file may be read again: a command's early check, a resume
def _warn_once(text: str) -> None:
    logger.warning(text)


def check_arguments(kind: type, given: Mapping[str, Any], prefix: str = "") -> Any:
    """The section's object from Python keyword arguments.

    Args:
        prefix: what errors write before an argument's name, `Padding.` for instance.

    Raises:
        ConfigError: naming every argument that cannot be used.
    """
    section, problems = check_section(kind, given, prefix)
    if problems:
        raise ConfigError(problems)
    return section


def _missing(
    by_name: dict[str, Field], given: Mapping[str, Any], prefix: str, locate: Locate
) -> list[Problem]:
    origin = locate(prefix.rstrip("."))
    return [
        Problem(prefix + name, "is missing; it has no default", origin)
        for name, this in by_name.items()
        if default_of(this) is REQUIRED and name not in given
    ]


def alternatives(kind: Any) -> tuple[Any, ...]:
    """The types that a field may have: both of `int | None`."""
    union = isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
    return typing.get_args(kind) if union else (kind,)


def _convert(value: Any, kind: Any) -> tuple[Any, bool]:
    """The value as `kind` and whether it fits; numbers convert only where nothing is lost."""
    if typing.get_origin(kind) is list:
        return _convert_list(value, typing.get_args(kind)[0])
    if kind is types.NoneType:
        return None, value is None
    if kind is Any:
        return value, True
    if kind is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if kind is bool or kind is str or kind is dict:
        return value, isinstance(value, kind)
    return _convert_number(value, kind)


def _convert_list(value: Any, item: Any) -> tuple[Any, bool]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return value, False
    pairs = [_convert(entry, item) for entry in value]
    return [entry for entry, _ in pairs], all(fits for _, fits in pairs)


def _convert_number(value: Any, kind: Any) -> tuple[Any, bool]:
    # numbers.Number would admit complex; numpy scalars have __index__ or __float__
    # True is an int to Python, and float() reads texts
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return value, False
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):  # arrays, and integers too long for a float
        return value, False
    if not math.isfinite(number) or (kind is int and number != int(number)):
        return value, False
    return (int(value) if kind is int else number), True


def _out_of_bounds(value: Any, param: Param) -> str:
    if param.values is not None and value is not None:
        chosen = value if isinstance(value, list) else [value]
        for entry in (entry for entry in chosen if entry not in param.values):
            return f"is {short_repr(value)}; choose one of {param.allowed()}{suggestion(entry, param.values)}"
        return ""
    is_list = isinstance(value, list)
    numbers = [
        number for number in (value if is_list else [value]) if isinstance(number, (int, float))
    ]
    wrong = not all(_inside(number, param) for number in numbers)
    wrong |= is_list and _is_misshapen(value, param)
    if isinstance(value, str) and param.values is None and param.allowed() and value != "auto":
        return f"is {short_repr(value)}; allowed: a number {param.allowed()} or 'auto'"
    return f"is {short_repr(value)}; allowed: {param.allowed(in_list=is_list)}" if wrong else ""


def _is_misshapen(value: list, param: Param) -> bool:
    """Whether the number or the order of a list's entries is wrong."""
    return (
        (param.nonempty and not value)
        or (bool(param.entries) and len(value) != len(param.entries))
        or (param.ordered and any(a > b for a, b in pairwise(value)))
        or (param.increasing and any(a >= b for a, b in pairwise(value)))
    )


def _inside(number: float, param: Param) -> bool:
    return (
        (param.above is None or number > param.above)
        and (param.at_least is None or number >= param.at_least)
        and (param.below is None or number < param.below)
        and (param.at_most is None or number <= param.at_most)
    )


_WORDS = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a text",
    dict: "a mapping", types.NoneType: "null",
}  # fmt: skip
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts", dict: "mappings"}


def type_in_words(kind: Any) -> str:
    """A type as people say it: `a list of numbers`, `a whole number or null`."""
    words = []
    for part in alternatives(kind):
        if part == list[Any]:
            words.append("a list")
        elif typing.get_origin(part) is list:
            words.append(f"a list of {_plural(typing.get_args(part)[0])}")
        else:
            words.append(_WORDS.get(part, "anything"))
    return " or ".join(words)


def _plural(kind: Any) -> str:
    if typing.get_origin(kind) is list:
        return f"lists of {_plural(typing.get_args(kind)[0])}"
    return _PLURALS[kind]


def _needed(this: Field, value: Any) -> str:
    """What a value of another type should have been."""
    param = param_of(this)
    if param.values is not None:
        return f"choose one of {param.allowed()}{suggestion(value, param.values)}"
    bounds = f", {param.allowed()}" if param.allowed() else ""
    return f"allowed: {type_in_words(this.type)}{bounds}"
