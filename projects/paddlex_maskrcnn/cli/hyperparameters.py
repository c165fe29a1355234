"""``hyperparameters``: the reference of all settings, generated from the schema, and their signatures."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "print or write the page of all hyperparameters"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page to FILE")
    parser.add_argument(
        "--signatures",
        type=Path,
        metavar="FILE",
        help="write Python signatures to FILE, for `make docs`",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write what was asked for; without any, print the page."""
    from ..config.show import reference_page
    from ..config.signature import render_signatures

    if arguments.write:
        arguments.write.write_text(reference_page(), encoding="utf-8")
    if arguments.signatures:
        arguments.signatures.write_text(render_signatures(), encoding="utf-8")
    if not (arguments.write or arguments.signatures):
        print(reference_page(), end="")
    return 0
