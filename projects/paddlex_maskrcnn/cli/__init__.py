"""Sub-commands of ``paddlex-maskrcnn`` (``python -m paddlex_maskrcnn``), one file each.

Each module has ``HELP``, ``add_arguments(parser)`` and ``run(arguments) -> exit status`` and imports
nothing heavy before ``run``, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from types import ModuleType

from .. import __version__
from ..compat.command import FORMS, as_command
from ..config.check import suggestion
from ..errors import explain
from ..requirements import quiet_detectron2

COMMANDS = (
    "fit",
    "init",
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
    "configs",
    "hyperparameters",
    "install-detectron2",
)


PROGRAM = "paddlex-maskrcnn"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; user mistakes end with status 2 and one message, not a traceback.

    Args:
        arguments: the command line without the program's name; None: this process's.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        build_parser().print_help()
        return 0
    if given[0].startswith("--") and FORMS & {argument.partition("=")[0] for argument in given}:
        with explain() as outcome:
            given = as_command(given, PROGRAM)
            print(f"{PROGRAM} {shlex.join(given)}")
            outcome.status = 0
        if outcome.status:
            return outcome.status
    name = given[0]
    if name in COMMANDS:
        return run(name, parse(name, given[1:], f"{PROGRAM} {name}"))
    parser = build_parser()
    if not name.startswith("-"):
        nearest = suggestion(name, COMMANDS) or f"; choose one of {', '.join(COMMANDS)}"
        parser.error(f"there is no command {name!r}{nearest}")
    parser.parse_args(given)  # --help, --version, or what is wrong
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Mask R-CNN on Detectron2 from YAML files."
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        add_arguments(commands.add_parser(name, help=_module(name).HELP), name)
    return parser


def parse(command: str, arguments: Sequence[str], program: str) -> argparse.Namespace:
    """The arguments of a command; settings may stand between options.

    Args:
        arguments: those after the command.
        program: its name in messages.
    """
    parser = argparse.ArgumentParser(prog=program)
    add_arguments(parser, command)
    return parser.parse_intermixed_args(arguments)


def add_arguments(parser: argparse.ArgumentParser, command: str) -> None:
    """Give a parser the description and the arguments of a command."""
    parser.description = _module(command).HELP
    _module(command).add_arguments(parser)


def run(command: str, parsed: argparse.Namespace) -> int:
    """Run a command with its parsed arguments; returns the exit status."""
    # Read when torch is imported. Threads that spin while they wait make a step ten times slower as
    # soon as another process wants the same cores (a shared machine, a container with a quota).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    quiet_detectron2()
    with explain() as outcome:
        outcome.status = _module(command).run(parsed)
    return outcome.status


def _module(command: str) -> ModuleType:
    return importlib.import_module(f".{command.replace('-', '_')}", __name__)
