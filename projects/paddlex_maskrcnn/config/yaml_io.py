"""YAML both ways: a file as plain data with the line of every key, and plain data as text.

Every YAML text that the package reads comes through `load`, since a few hundred bytes can stand for more
than fits into memory: references to references (`[*a, *a]`, `<<: *a`) double with each line. A reference
counts as what it stands for, and counting ends before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from .check import ConfigError, Problem, short_repr

Lines = dict[str, int]

# A data set of 21 000 classes needs 42 000 values; PyYAML reads 15 000 in a second.
MOST_CHARACTERS = 4 * 2**20
MOST_VALUES = 100_000
MOST_LEVELS = 50
_LONGEST_KEY = 500
_LONGEST_NUMBER = 500  # of what is not a text; reading a number takes the square of its length
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


class YamlError(ValueError):
    """A text that is not YAML, or stands for more than is read; the message is short."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-3 as the number it is (YAML 1.1 wants 1.0e-3), and ends at a limit."""

    def __init__(self, text: str, most_values: int) -> None:
        super().__init__(text)
        self._most_values = most_values
        self._level = self._num_nodes = 0
        # node -> values that it stands for; the nodes live as long as the loader
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node, counted: once more each time that it is referred to."""
        mark = self.peek_event().start_mark
        if self._level > MOST_LEVELS:
            raise _TooMuchError(mark, f"values are nested more than {MOST_LEVELS} deep")
        self._level += 1
        self._num_nodes += 1  # a long list ends before it is complete
        node = super().compose_node(parent, index)
        self._level -= 1
        if node is None:
            return None
        if node not in self._sizes:
            if isinstance(node, yaml.CollectionNode) and node.end_mark is None:
                raise _TooMuchError(mark, "a value contains itself")
            self._sizes[node] = _own_size(node) + sum(self._sizes[k] for k in _children(node))
        if max(self._sizes[node], self._num_nodes) > self._most_values:
            raise _TooMuchError(
                mark,
                f"it stands for more than {self._most_values} values (a reference *name counts as "
                "all that it stands for, a long text as one for each 100 characters)",
            )
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        if isinstance(node, yaml.ScalarNode):
            _check_length(node, is_key)
        return node


def _own_size(node: yaml.Node) -> int:
    """1, and 1 more for each 100 characters: a long text can be referred to as well."""
    return 1 + len(node.value) // 100 if isinstance(node, yaml.ScalarNode) else 1


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _check_length(node: yaml.ScalarNode, is_key: bool) -> None:
    if is_key and len(node.value) > _LONGEST_KEY:
        raise _TooMuchError(node.start_mark, f"a key has more than {_LONGEST_KEY} characters")
    if node.tag != _TEXT and len(node.value) > _LONGEST_NUMBER:
        raise _TooMuchError(node.start_mark, f"a number has more than {_LONGEST_NUMBER} characters")


class _TooMuchError(yaml.MarkedYAMLError):
    def __init__(self, mark: yaml.Mark, problem: str) -> None:
        super().__init__(None, None, problem, mark)


def _list_of_tuple(loader: _Loader, node: yaml.Node) -> list[Any]:
    if not isinstance(node, yaml.SequenceNode):
        raise yaml.constructor.ConstructorError(
            None, None, "a tuple must be a list", node.start_mark
        )
    return loader.construct_sequence(node, deep=True)


# PaddleX's dump writes tuples so; nothing is called by the name
_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _list_of_tuple)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that writes a list twice rather than an anchor and a reference to it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _kind in (_Loader, _Dumper):  # what is read as a number is written in quotes where it is a text
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$"),
        list("-+0123456789"),
    )


def dump(data: Any, flow: bool = False) -> str:
    """Plain data as YAML text, keys in their order; `flow` keeps it on one line."""
    text = yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        width=10_000 if flow else 100,
    )
    # PyYAML ends a lone scalar with the mark of a document's end
    return text.strip().removesuffix("...").strip() if flow else text


def dump_with_comments(data: dict[str, Any], comments: Mapping[str, str]) -> str:
    """Plain data as YAML text, and behind the line of a key what `comments` has for it.

    Args:
        comments: full key -> one line; of keys whose value is a number or a list.
    """
    text = dump(data)
    _, node = _composed(text, MOST_VALUES)
    keys: Lines = {}
    if node is not None:
        _walk(node, "", keys, [], Path())
    lines = text.splitlines()
    for key in comments.keys() & keys.keys():
        lines[keys[key] - 1] += f"  # {comments[key]}"
    return "\n".join(lines) + "\n"


def comments_of(path: Path) -> dict[int, str]:
    """Line number -> the comment behind what stands in that line, without its mark.

    Raises:
        YamlError: as `load`.
    """
    text = read_text(path)
    ends: dict[int, int] = {}  # line, from 0 -> column behind its last token
    with _in_words():
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            for mark in (token.start_mark, token.end_mark):
                ends[mark.line] = max(ends.get(mark.line, 0), mark.column)
    comments = {}
    for number, line in enumerate(text.splitlines()):
        rest = line[ends.get(number, 0) :].strip()
        if ends.get(number) and rest.startswith("#"):
            comments[number + 1] = rest.lstrip("#").strip()
    return comments


def load(text: str, most_values: int = MOST_VALUES) -> Any:
    """Plain data of a YAML text, with safe tags only; None of an empty one.

    Args:
        most_values: how many keys and values the text may stand for, references written out.

    Raises:
        YamlError: when it is not YAML, stands for more than that, is nested too deep, or is too long.
    """
    with _in_words():
        loader, node = _composed(text, most_values)
        return loader.construct_document(node) if node else None


def parse_value(text: str) -> Any:
    """One value as YAML reads it: `3` a number, `[1, 2]` a list, `null` None.

    Raises:
        YamlError: as `load`.
    """
    return load(text)


def read(path: Path, most_values: int = MOST_VALUES) -> tuple[dict[str, Any], Lines]:
    """The file's mapping, and full key -> line number; safe tags only.

    What the file refers to twice (`*name`) is there twice, so that changing one leaves the other.

    Raises:
        ConfigError: when the file is no YAML mapping, holds a key twice, or stands for more than
            `most_values` keys and values.
        FileNotFoundError: when there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no configuration file {path}")
    lines: Lines = {}
    repeated: list[Problem] = []
    try:
        with _in_words():
            loader, node = _composed(read_text(path), most_values)
            if node is None:
                return {}, {}
            # first: the constructor puts what `<<` merges among the keys
            _walk(node, "", lines, repeated, path)
            content = loader.construct_document(node)
    except YamlError as error:
        raise ConfigError([Problem(str(path), f"is not valid YAML: {error}")]) from error
    if not isinstance(content, dict):
        text = "is not a mapping; allowed: sections such as 'model:' and 'train:'"
        raise ConfigError([Problem(str(path), text)])
    if repeated:
        raise ConfigError(repeated)
    return _written_out(content), lines


def read_text(path: Path) -> str:
    """A YAML file's text.

    Raises:
        YamlError: when it is not UTF-8, or too long for a file that a person or a program would write.
    """
    size = path.stat().st_size
    if size > 4 * MOST_CHARACTERS:  # no character has more bytes
        raise YamlError(_too_long(size, "bytes"))
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(f"it is not UTF-8 text ({error.reason}); save it as UTF-8") from error


def _composed(text: str, most_values: int) -> tuple[_Loader, yaml.Node | None]:
    """The text's nodes, and the loader that makes values of them; nodes know their lines, values do not."""
    if len(text) > MOST_CHARACTERS:
        raise YamlError(_too_long(len(text), "characters"))
    loader = _Loader(text, most_values)
    return loader, loader.get_single_node()


@contextmanager
def _in_words() -> Iterator[None]:
    """Whatever PyYAML raises as a YamlError."""
    try:
        yield
    except yaml.YAMLError as error:
        raise YamlError(_start(str(error))) from error
    except YamlError:
        raise
    except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as error:
        # what its constructors stumble over: `!!int x`, `!!timestamp x`, a 13th month
        raise YamlError(f"a value does not fit its type ({_start(str(error))})") from error


def _too_long(size: int, unit: str) -> str:
    return f"it has {size} {unit}; a YAML file may have {MOST_CHARACTERS} characters"


def _start(text: str) -> str:
    return text if len(text) <= 500 else f"{text[:500]}..."


def _written_out(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _written_out(entry) for key, entry in value.items()}
    return [_written_out(entry) for entry in value] if isinstance(value, list) else value


def _walk(node: yaml.Node, prefix: str, lines: Lines, repeated: list[Problem], path: Path) -> None:
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[f"{prefix}[{number}]"] = item.start_mark.line + 1
            _walk(item, f"{prefix}[{number}]", lines, repeated, path)
    elif isinstance(node, yaml.MappingNode):
        merged: list[yaml.Node] = []
        for name, value in node.value:
            if name.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif isinstance(name, yaml.ScalarNode):
                _note_key(name, value, prefix, lines, repeated, path)
        for source in merged:  # the mapping's own keys win, then the first that is merged
            inherited: Lines = {}
            _walk(source, prefix, inherited, repeated, path)
            for key, line in inherited.items():
                lines.setdefault(key, line)


def _note_key(
    name: yaml.ScalarNode,
    value: yaml.Node,
    prefix: str,
    lines: Lines,
    repeated: list[Problem],
    path: Path,
) -> None:
    key = f"{prefix}.{name.value}" if prefix else str(name.value)
    line = name.start_mark.line + 1
    origin = f"{path}:{line}"
    if len(key) > _LONGEST_KEY:
        text = f"has more than {_LONGEST_KEY} characters"
        raise ConfigError([Problem(short_repr(key), text, origin)])
    if key in lines:
        repeated.append(Problem(key, f"stands twice, first in line {lines[key]}", origin))
    lines[key] = line
    _walk(value, key, lines, repeated, path)
