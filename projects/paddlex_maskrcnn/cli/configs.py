"""``configs``: the experiment files that come with the package."""

from __future__ import annotations

import argparse
import re
from itertools import takewhile
from pathlib import Path

HELP = "list the experiment files that come with the package, or print one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="the one to print, to start from")


def run(arguments: argparse.Namespace) -> int:
    """Print a list, or a file.

    Raises:
        FileNotFoundError: when there is none of that name.
    """
    from ..config.load import find_config, shipped_configs

    if arguments.name:
        print(find_config(arguments.name).read_text(encoding="utf-8"), end="")
        return 0
    files = shipped_configs()
    width = max(map(len, files), default=0)
    for name, path in files.items():
        print(f"{name:{width}}  {_first_sentence(path)}")
    print("\ntrain --config NAME takes one; configs NAME > my.yaml makes a copy to change")
    return 0


def _first_sentence(path: Path) -> str:
    """What a file says of itself, in the comment at its beginning."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.strip("# ") for line in takewhile(lambda x: x.startswith("#"), lines))
    return re.split(r"[.:](?:\s|$)", comment, maxsplit=1)[0]
