"""Which images and videos the arguments of ``predict`` mean."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.datasets.files import files_below, is_picture
from ..data.videos import is_video


@dataclass(frozen=True)
class Input:
    """An image or video.

    Attributes:
        name: the path as it was given or found; what the output calls it.
        folder: where its picture goes, below the output folder.
    """

    name: str
    folder: Path

    @property
    def is_video(self) -> bool:
        """By its name."""
        return is_video(self.name)


def find_inputs(arguments: Sequence[str], output: Path) -> list[Input]:
    """Images and videos of files, folders (all below them) and glob patterns, each once.

    Args:
        output: folder that is written to; what lies in it is no input.

    Raises:
        ValueError: for a folder or pattern without any, or an output folder that is an input.
    """
    found: dict[str, None] = {}
    for argument in arguments:
        names = [name for name in _found(argument) if _is_outside(name, argument, output)]
        if not names:
            raise ValueError(f"there is no image or video in {argument}")
        found.update(dict.fromkeys(names))
    below = _common_folder(list(found))
    return [Input(name, Path(name).resolve().parent.relative_to(below)) for name in found]


def _found(argument: str) -> Iterator[str]:
    path = Path(argument)
    if path.is_dir():
        yield from (one.as_posix() for one in files_below(path) if _is_wanted(one.name))
    elif path.exists() or not glob.has_magic(argument):
        yield path.as_posix()  # a missing file too: it is reported with those that cannot be read
    else:
        for name in sorted(glob.glob(argument, recursive=True)):
            if Path(name).is_dir():
                yield from _found(name)
            elif _is_wanted(name):
                yield Path(name).as_posix()


def _is_wanted(name: str) -> bool:
    return not Path(name).name.startswith(".") and (is_picture(name) or is_video(name))


def _is_outside(name: str, argument: str, output: Path) -> bool:
    if not Path(argument).is_dir():
        return True
    if output.resolve() == Path(argument).resolve():
        raise ValueError(
            f"--output {output} is the folder of the images; choose another, such as "
            f"{output / 'predictions'}"
        )
    return output.resolve() not in Path(name).resolve().parents


def _common_folder(names: Sequence[str]) -> Path:
    """The deepest folder that holds all of them."""
    parents = [Path(name).resolve().parent for name in names]
    shared = parents[0]
    while not all(parent.is_relative_to(shared) for parent in parents):
        shared = shared.parent
    return shared
