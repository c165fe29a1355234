"""YAML with a comment behind each value: how `init` writes an experiment file.

`dump` of yaml_io has no comments, and a library that keeps them (ruamel.yaml) is more than a few keys need.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .yaml_io import dump

_COLUMN = 36  # of the comments


@dataclass(frozen=True)
class Line:
    """A key, its value, and why.

    Attributes:
        key: of the mapping; empty for an entry of a list.
        value: plain data, written on the key's line; or a list of Lines, which stand below it.
        reason: the comment; empty for none.
    """

    key: str
    value: Any = None
    reason: str = ""


def commented(header: Sequence[str], lines: Sequence[Line]) -> str:
    """A YAML text.

    Args:
        header: lines of a comment at its beginning.
        lines: of the outermost mapping; a `${` in their texts is no interpolation.
    """
    top = [f"# {_one_line(text)}".rstrip() for text in header]
    blocks = ["\n".join(_written(line, 0)) for line in lines]
    return "\n".join([*top, "", "\n\n".join(blocks), ""])


def _written(line: Line, depth: int) -> Iterator[str]:
    indent = "  " * depth
    start = f"{indent}{line.key}:" if line.key else f"{indent}-"
    if not _is_nested(line.value):
        yield _with_comment(f"{start} {dump(_literal(line.value), flow=True)}", line.reason)
        return
    below = [text for each in line.value for text in _written(each, depth + 1)]
    if line.key:
        yield _with_comment(start, line.reason)
    else:  # the first key of a list's entry stands behind its dash
        below[0] = f"{start} {below[0].lstrip()}"
    yield from below


def _is_nested(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Line)


def _with_comment(text: str, reason: str) -> str:
    return f"{text.ljust(_COLUMN)}  # {_one_line(reason)}" if reason else text


def _one_line(text: str) -> str:
    """A comment's text without what would end the comment, or is not allowed in YAML."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]", " ", text)


def _literal(value: Any) -> Any:
    """The value as a file has it in which `${` begins an interpolation: names of folders may hold one."""
    if isinstance(value, dict):
        return {key: _literal(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_literal(entry) for entry in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value
