"""Where the pictures are when none is where it should be: mostly one folder up or down."""

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from .problems import Kind, Problems

_MOST_FOLDERS = 500  # that are looked into


def point_to_pictures(problems: Problems, kind: Kind, data_dir: Path, names: Sequence[str]) -> None:
    """Name the right data_dir in the remedy for missing pictures, if all are missing and it is near.

    Args:
        kind: of the problem of a missing picture.
        names: file names of all pictures, as the annotations have them.
    """
    missing = problems.found.get(kind, [])
    if not names or len(missing) < len(names):
        return
    folder = _folder_with(names[0], data_dir)
    if folder is not None:
        remedy = f"the first one is there with data_dir {str(folder)!r}"
        problems.found = {
            replace(one, remedy=remedy) if one == kind else one: places
            for one, places in problems.found.items()
        }


def _folder_with(name: str, data_dir: Path) -> Path | None:
    """The folder above or below from which a file name leads to a file."""
    below = (Path(where) for where, _, _ in islice(os.walk(data_dir), _MOST_FOLDERS))
    for folder in (data_dir.absolute().parent, *below):
        if (folder / name).is_file():
            return folder
    return None
