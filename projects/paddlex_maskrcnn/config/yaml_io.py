"""YAML both ways: a file as plain data with the line of every key, and plain data as text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from .check import ConfigError, Problem

Lines = dict[str, int]


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-3 as the number it is (YAML 1.1 wants 1.0e-3)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that writes a list twice rather than an anchor and a reference to it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


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


def parse_value(text: str) -> Any:
    """One value as YAML reads it: `3` a number, `[1, 2]` a list, `null` None."""
    return yaml.load(text, Loader=_Loader)


def read(path: Path) -> tuple[dict[str, Any], Lines]:
    """The file's mapping, and full key -> line number; safe tags only.

    Raises:
        ConfigError: when the file is no YAML mapping, or holds a key twice.
        FileNotFoundError: when there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no configuration file {path}")
    try:
        # nodes know their lines, plain data does not
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        content = loader.construct_document(node) if node else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), f"is not valid YAML: {error}")]) from error
    if node is None:
        return {}, {}
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            [
                Problem(
                    str(path), "is not a mapping; allowed: sections such as 'model:' and 'train:'"
                )
            ]
        )
    lines: Lines = {}
    repeated: list[Problem] = []
    _walk(node, "", lines, repeated, path)
    if repeated:
        raise ConfigError(repeated)
    return content, lines


def _walk(node: yaml.Node, prefix: str, lines: Lines, repeated: list[Problem], path: Path) -> None:
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[f"{prefix}[{number}]"] = item.start_mark.line + 1
            _walk(item, f"{prefix}[{number}]", lines, repeated, path)
    elif isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            key = f"{prefix}.{name.value}" if prefix else str(name.value)
            line = name.start_mark.line + 1
            if key in lines:
                origin = f"{path}:{line}"
                repeated.append(Problem(key, f"stands twice, first in line {lines[key]}", origin))
            lines[key] = line
            _walk(value, key, lines, repeated, path)
