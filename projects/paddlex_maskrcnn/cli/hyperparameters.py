"""``hyperparameters``: the reference of all settings, generated from the schema."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "print or write the page of all hyperparameters"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page to FILE")


def run(arguments: argparse.Namespace) -> int:
    from ..config.show import reference_page

    if arguments.write:
        arguments.write.write_text(reference_page(), encoding="utf-8")
    else:
        print(reference_page(), end="")
    return 0
