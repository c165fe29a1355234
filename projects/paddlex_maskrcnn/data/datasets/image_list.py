"""Lists of images: files that name a part of a data set, one picture per line.

A name is the path of a picture as the data set has it, from the folder of the data set, with forward
slashes; it may lead out of that folder. So a data set that was moved as a whole keeps its lists. Names are
compared, no file is looked for: pictures that are not in the list cost nothing.

The whole data set decides on classes, ids and order of the images.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from ...config.check import suggestion
from .files import UnusableFileError, read_text
from .problems import DatasetError, Kind, Problems

NOT_IN_SET = Kind(
    "name in image_list that no image of the data set has",
    "write paths relative to the folder of the data set, or delete these lines",
)
LISTED_TWICE = Kind("name that image_list has twice", "delete the second line")
AMBIGUOUS = Kind(
    "name in image_list that several images have",
    "write paths relative to the folder of the data set",
)

_MOST_SUGGESTIONS = 3  # all names are compared for each
_MOST_COMPARED = 2000  # names of which a similar one is looked for; more would take seconds


class Named(Protocol):
    """A picture of a data set."""

    @property
    def path(self) -> str: ...

    @property
    def file_name(self) -> str: ...


AnyNamed = TypeVar("AnyNamed", bound=Named)


class ImageNames:
    """What lists call the pictures of a data set.

    Attributes:
        folder: that names start from, absolute.
        written: file -> path that the data set has for it, of files that are called otherwise.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Names that start from a folder."""
        self.folder = os.path.abspath(folder)
        self.written: dict[str, str] = {}

    def of(self, file: str) -> str:
        """The name of a picture, given its file."""
        path = self.written.get(file, file)
        try:
            return os.path.relpath(path, self.folder).replace(os.sep, "/")
        except ValueError:  # Windows: on another drive
            return path

    def chosen(
        self, pictures: Sequence[AnyNamed], image_list: str, other: str, problems: Problems
    ) -> list[AnyNamed]:
        """The pictures that a list names, in their own order; lines that name none are noted.

        Args:
            other: a second folder that names may start from.

        Raises:
            DatasetError: if the list cannot be read or is empty.
        """
        index = _Index(pictures)
        counts: Counter[int] = Counter()
        unknown: list[tuple[str, str]] = []
        for number, name in _lines(image_list):
            where = f"{os.path.basename(image_list)} line {number}: {name!r}"
            positions = index.find(name, (self.folder, other))
            if len({pictures[k].path for k in positions}) > 1:
                problems.add(AMBIGUOUS, where)
            elif not positions:
                unknown.append((name, where))
            else:
                counts[positions[0]] += 1
                # two images may share a file: its name then stands as often as it has images
                if counts[positions[0]] > len(positions):
                    problems.add(LISTED_TWICE, where)
        for k, (name, where) in enumerate(unknown):
            hint = self._hint(name, pictures) if k < _MOST_SUGGESTIONS else ""
            problems.add(NOT_IN_SET, where + hint)
        wanted = {pictures[k].path for k in counts}
        return [picture for picture in pictures if picture.path in wanted]

    def _hint(self, name: str, pictures: Sequence[Named]) -> str:
        """The picture of the same file name in another folder, or one with a similar name."""
        base = os.path.basename(name).casefold()
        alike = [each for each in pictures if os.path.basename(each.path).casefold() == base]
        if len(alike) == 1:
            return f"; the data set has {self.of(alike[0].path)!r}"
        if alike:
            return f"; {len(alike)} images in other folders have this name"
        return suggestion(name, (self.of(each.path) for each in pictures[:_MOST_COMPARED]))


def as_text(names: Iterable[str]) -> str:
    """The content of a list with these names, to be written as UTF-8."""
    return "".join(f"{name}\n" for name in names)


class _Index:
    """Positions of pictures by their path, and by the name that the annotations have for them."""

    def __init__(self, pictures: Sequence[Named]) -> None:
        self._by_path: dict[str, list[int]] = defaultdict(list)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        for position, picture in enumerate(pictures):
            self._by_path[os.path.normpath(picture.path)].append(position)
            if picture.file_name:
                self._by_name[picture.file_name].append(position)

    def find(self, name: str, folders: Sequence[str]) -> list[int]:
        """Those that a name means: by its path from the first folder that fits, else as it is written."""
        for written in dict.fromkeys((name, name.strip(), name.strip().replace("\\", "/"))):
            for folder in folders:
                positions = self._by_path.get(os.path.normpath(os.path.join(folder, written)))
                if positions:
                    return positions
            if positions := self._by_name.get(written):
                return positions
        return []


def _lines(image_list: str) -> list[tuple[int, str]]:
    """Number and text of the lines that are not blank, spaces included: names may begin or end with some."""
    try:
        text = read_text(Path(image_list))
    except UnusableFileError as error:
        raise DatasetError(f"image_list {image_list!r}: {error}") from error
    # not splitlines, which breaks names at rare characters too
    lines = [(k, line.removesuffix("\r")) for k, line in enumerate(text.split("\n"), 1)]
    lines = [(k, line) for k, line in lines if line.strip()]
    if not lines:
        raise DatasetError(f"image_list {image_list!r} is empty: it needs one image name per line")
    return lines
