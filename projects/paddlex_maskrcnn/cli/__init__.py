"""Sub-commands of ``python -m paddlex_maskrcnn``, one file each.

Each module has ``HELP``, ``add_arguments(parser)`` and ``run(arguments) -> exit status`` and imports
nothing heavy before ``run``, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Sequence
from types import ModuleType

from ..errors import explain

COMMANDS = (
    "train",
    "predict",
    "export",
    "serve",
    "evaluate",
    "analyze",
    "check",
    "browse",
    "convert",
    "split",
    "import-paddlex",
    "hyperparameters",
    "install-detectron2",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; user mistakes end with status 2 and one message, not a traceback."""
    parsed = build_parser().parse_args(arguments)
    return run(parsed.command, parsed)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog="python -m paddlex_maskrcnn", description="Mask R-CNN on Detectron2 from YAML files."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        add_arguments(commands.add_parser(name, help=_module(name).HELP), name)
    return parser


def add_arguments(parser: argparse.ArgumentParser, command: str) -> None:
    """Give a parser the description and the arguments of a command."""
    parser.description = _module(command).HELP
    _module(command).add_arguments(parser)


def run(command: str, parsed: argparse.Namespace) -> int:
    """Run a command with its parsed arguments; returns the exit status."""
    # Read when torch is imported. Threads that spin while they wait make a step ten times slower as
    # soon as another process wants the same cores (a shared machine, a container with a quota).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with explain() as outcome:
        outcome.status = _module(command).run(parsed)
    return outcome.status


def _module(command: str) -> ModuleType:
    return importlib.import_module(f".{command.replace('-', '_')}", __name__)
