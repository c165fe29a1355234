"""What reading a data set is in every format: pictures and raw objects in, checked records out.

A reader lists its pictures and says how the annotations of one are parsed; `Reading` reads headers
and annotation files side by side in threads, settles which pixels the annotations were drawn on,
checks every object, and reports everything that was wrong at once.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..image_headers import Header, Size
from .annotations import ImageFrame, ObjectChecker, RawObject
from .files import in_threads, read_headers
from .problems import DatasetError, Kind, Problems
from .records import PackedRecords, Record

logger = logging.getLogger(__name__)

MISSING_IMAGE = Kind(
    "missing image", "the folder joined with the file name must be a file: check data_dir first"
)
UNREADABLE_IMAGE = Kind(
    "unreadable image", "replace the file, or take it out of the list of images"
)
OTHER_SIZE = Kind(
    "image of another size than its annotations say",
    "the annotations belong to another version of the file: annotate the one that is there",
)
BAD_ANNOTATION = Kind(
    "annotation file that cannot be used",
    "correct or replace it (an image without objects needs a file that says so), or take the image "
    "out of the data set",
)
OUTSIDE_FILE = Kind(
    "file name that leaves the data's folder",
    "file names must lead to files in the folder that was given: give the folder that holds all",
)


_WITH_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_BLOCK = 1024  # pictures whose parsed annotations are held at once


@dataclass(frozen=True)
class Picture:
    """A picture of a data set that is being read.

    Attributes:
        path: absolute.
        where: names it in messages.
        image_id: its id.
    """

    path: str
    where: str
    image_id: int


@dataclass
class Parsed:
    """What the annotations of one picture say.

    Attributes:
        said: the (height, width) they were made for, None where they say nothing.
        objects: the objects, given the frame they are drawn in.
        problems: what is wrong with them as a whole, and where.
        repaired: what was set right, and where.
    """

    said: Size | None = None
    objects: Callable[[ImageFrame], Iterable[RawObject]] = lambda frame: ()
    problems: list[tuple[Kind, str]] = field(default_factory=list)
    repaired: list[tuple[str, str]] = field(default_factory=list)


AnyPicture = TypeVar("AnyPicture", bound=Picture)
_Opened = tuple[Picture, ImageFrame, list[RawObject]]


class Reading:
    """One data set being read."""

    def __init__(self, source: str, boxes_expected: bool = True) -> None:
        """Start with no problems.

        Args:
            source: names the data set in messages.
            boxes_expected: whether the format has boxes beside its masks.
        """
        self.problems = Problems(source)
        self._checker = ObjectChecker(self.problems, boxes_expected)
        self._last_number = 0

    def records(
        self, pictures: Sequence[AnyPicture], parse: Callable[[AnyPicture], Parsed]
    ) -> PackedRecords:
        """Records of all pictures, in order; what is wrong with them is noted.

        Args:
            parse: called in threads, so it may only look at its argument.
        """
        return PackedRecords(self._records(pictures, parse))

    def _records(
        self, pictures: Sequence[AnyPicture], parse: Callable[[AnyPicture], Parsed]
    ) -> Iterator[Record]:
        headers = self._headers(pictures)
        for first in range(0, len(pictures), _BLOCK):
            block = pictures[first : first + _BLOCK]
            yield from self._records_of(
                self._opened(picture, parsed, headers[picture.path])
                for picture, parsed in zip(block, in_threads(parse, block), strict=True)
            )

    def _opened(self, picture: Picture, parsed: Parsed, header: Header | None) -> _Opened | None:
        """The raw objects of a picture; None after noting why they cannot be placed."""
        self._note(parsed)
        frame = self._frame(header, parsed.said, picture.where) if header else None
        return (picture, frame, list(parsed.objects(frame))) if frame else None

    def _records_of(self, block: Iterable[_Opened | None]) -> Iterator[Record]:
        opened = [one for one in block if one is not None]
        found = [one for _, _, objects in opened for one in objects]
        frames = [frame for _, frame, objects in opened for _ in objects]
        checked = iter(self._checker.check_all(found, frames))  # one for each, image by image
        for picture, frame, objects in opened:
            yield {
                "file_name": picture.path,
                "height": frame.height,
                "width": frame.width,
                "image_id": picture.image_id,
                "annotations": [
                    {**usable, **self._ids(one)}
                    for one, usable in zip(objects, checked, strict=False)
                    if usable is not None
                ],
            }

    def _note(self, parsed: Parsed) -> None:
        for kind, where in parsed.problems:
            self.problems.add(kind, where)
        for title, where in parsed.repaired:
            self.problems.repair(title, where)

    def _headers(self, pictures: Sequence[Picture]) -> dict[str, Header | None]:
        """Path -> header, None after noting why there is none."""
        wheres = {picture.path: picture.where for picture in pictures}
        found = read_headers(list(wheres))
        headers: dict[str, Header | None] = {}
        for (path, where), header in zip(wheres.items(), found, strict=True):
            if header == "missing":
                self.problems.add(MISSING_IMAGE, where)
            elif isinstance(header, str):
                self.problems.add(UNREADABLE_IMAGE, f"{where}: {header}")
            headers[path] = None if isinstance(header, str) else header
        return headers

    def _frame(self, header: Header, said: Size | None, where: str) -> ImageFrame | None:
        """The frame that annotations are drawn in; None after noting that there is none."""
        if said is None or header.fits(said):
            return ImageFrame(*(said or header.upright))
        (height, width), words = header.upright, f"{said[1]}x{said[0]}"
        self.problems.add(
            OTHER_SIZE, f"{where}: the file is {width}x{height}, the annotations say {words}"
        )
        return None

    def finish(self, skip_invalid: bool) -> None:
        """Raise or warn about everything that was found, or hand it to who is `collecting`.

        Raises:
            DatasetError: if something must stop the user.
        """
        problems, collected = self.problems, _collected.get()
        if collected is not None:
            if not any(one is problems for one in collected):  # a reader may end early, then again
                collected.append(problems)
            return
        if problems.found and problems.stopping(skip_invalid):
            raise DatasetError(problems.report(skip_invalid))
        if problems.found:
            logger.warning(problems.report(skip_invalid))
        if problems.repaired:
            logger.warning(problems.note())

    def _ids(self, found: RawObject) -> dict[str, Any]:
        self._last_number = self._last_number + 1 if found.number is None else found.number
        ids = {
            "category_id": found.category,
            "iscrowd": int(found.is_crowd),
            "id": self._last_number,
        }
        return {**ids, "ignore": 1} if found.is_ignored else ids


_collected: ContextVar[list[Problems] | None] = ContextVar("collected", default=None)


@contextmanager
def collecting() -> Iterator[list[Problems]]:
    """Data sets that are opened inside do not stop or warn: their problems are in this list.

    They hold what could be used; an image that could not be opened at all is not in them.
    """
    found: list[Problems] = []
    before = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(before)


def leaves_folder(name: str) -> bool:
    """Whether a file name may not be followed: absolute, upwards out of the folder, or no name.

    Absolute is also what Windows takes for it: another computer wrote the file.
    """
    is_absolute = os.path.isabs(name) or _WITH_DRIVE.match(name) is not None
    return is_absolute or os.path.normpath(name).split(os.sep)[0] == ".." or "\0" in name
