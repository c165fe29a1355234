"""Settings on the command line that win over those of a file."""

from __future__ import annotations

import argparse


def add_overrides(parser: argparse.ArgumentParser, when: str = "") -> None:
    """Let a command take any number of `section.key=value`.

    Args:
        when: words before the help, such as `with --config: `.
    """
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],  # without it argparse calls them required when another argument is missing
        metavar="section.key=value",
        help=f"{when}settings that win over the file",
    )
