"""Arguments that all benchmarks take, with mistakes told before the work begins."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def at_least(least: int) -> Callable[[str], int]:
    """A type for argparse: a whole number from `least` on."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(
                f"is {text!r}; a whole number from {least} on is needed"
            )
        return number

    return read


positive = at_least(1)


def output_file(text: str) -> Path:
    """A type for argparse: where a file can be written; its folder is made."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"is {text!r}, which is a folder; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"is {text!r}: {error.strerror}") from error
    return path
