"""What reading a data set is in every format: pictures and raw annotations in, records out.

A reader lists its pictures and says how the annotations of a picture are parsed; `Reading` reads
headers and annotation files side by side in threads, settles which pixels the annotations were drawn
on, checks every annotation, and reports everything that was wrong at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..image_headers import Header, Size
from .annotations import AnnotationChecker, ImageFrame, RawAnnotation
from .files import in_threads, read_headers
from .orientation import AUTO, STORED, drawn_on, moved_upright
from .problems import Kind, Problems
from .records import PackedRecords, Record

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

MORE_PAGES = Kind(
    "picture of several pages or frames",
    "a model of three channels reads the first one only: save the others as pictures of their own (a model "
    "of as many channels as pages reads a TIFF's pages as channels)",
)

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
    """What the annotations of a picture say.

    Attributes:
        said: the (height, width) they were made for, None where they say nothing.
        objects: the annotations, given the frame they are drawn in.
        problems: what is wrong with them as a whole, and where.
        repaired: what was set right, and where.
    """

    said: Size | None = None
    objects: Callable[[ImageFrame], Iterable[RawAnnotation]] = lambda frame: ()
    problems: list[tuple[Kind, str]] = field(default_factory=list)
    repaired: list[tuple[str, str]] = field(default_factory=list)


AnyPicture = TypeVar("AnyPicture", bound=Picture)
_Opened = tuple[Picture, ImageFrame, list[RawAnnotation]]


class Reading:
    """One data set being read."""

    def __init__(self, source: str, boxes_expected: bool = True) -> None:
        """Start with no problems.

        Args:
            source: names the data set in messages.
            boxes_expected: whether the format has boxes beside its masks.
        """
        self.problems = Problems(source)
        self._checker = AnnotationChecker(self.problems, boxes_expected)
        self._last_number = 0
        self._exif = AUTO

    def records(
        self,
        pictures: Sequence[AnyPicture],
        parse: Callable[[AnyPicture], Parsed],
        exif: str = AUTO,
    ) -> PackedRecords:
        """Records of all pictures, in order; what is wrong with them is noted.

        Args:
            parse: called in threads, so it may only look at its argument.
            exif: on which pixels the annotations were drawn, see `orientation`.
        """
        self._exif = exif
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

    def _headers(self, pictures: Sequence[Picture]) -> dict[str, Header | None]:
        """Path -> header, None after noting why there is none."""
        wheres = {picture.path: picture.where for picture in pictures}
        headers: dict[str, Header | None] = {}
        for (path, where), header in zip(wheres.items(), read_headers(list(wheres)), strict=True):
            if header == "missing":
                self.problems.add(MISSING_IMAGE, where)
            elif isinstance(header, str):
                self.problems.add(UNREADABLE_IMAGE, f"{where}: {header}")
            headers[path] = None if isinstance(header, str) else header
        return headers

    def _opened(self, picture: Picture, parsed: Parsed, header: Header | None) -> _Opened | None:
        """The raw annotations of a picture; None after noting why they have no pixels to be on."""
        for kind, where in parsed.problems:
            self.problems.add(kind, where)
        for title, where in parsed.repaired:
            self.problems.repair(title, where)
        frame = self._frame(header, parsed.said, picture.where) if header else None
        if header is None or frame is None:
            return None
        raw = list(parsed.objects(frame))
        if header.has_more:
            self.problems.remark(MORE_PAGES, picture.where)
        if header.orientation != 1:
            settled = (header, frame, raw, self._exif, self.problems, picture.where)
            frame, raw = moved_upright(*settled)
        return picture, frame, raw

    def _frame(self, header: Header, said: Size | None, where: str) -> ImageFrame | None:
        """The frame that annotations are drawn in; None after noting that there is none."""
        frame = drawn_on(header, said, self._exif)
        if frame is None and said is not None:
            is_stored = self._exif == STORED
            height, width = header.stored if is_stored else header.upright
            as_stored = " as stored (exif: stored)" if is_stored else ""
            self.problems.add(
                OTHER_SIZE,
                f"{where}: the file is {width}x{height}{as_stored}, the annotations say "
                f"{said[1]}x{said[0]}",
            )
        return frame

    def _records_of(self, block: Iterable[_Opened | None]) -> Iterator[Record]:
        opened = [entry for entry in block if entry is not None]
        annotations = [annotation for _, _, raw in opened for annotation in raw]
        frames = [frame for _, frame, raw in opened for _ in raw]
        # checked together, since arrays pay off over many images; consumed image by image below
        checked = iter(self._checker.check_all(annotations, frames))
        for picture, frame, raw in opened:
            yield {
                "file_name": picture.path,
                "height": frame.height,
                "width": frame.width,
                "image_id": picture.image_id,
                **({"as_stored": True} if frame.as_stored else {}),
                "annotations": [
                    {**usable, **self._ids(annotation)}
                    for annotation, usable in zip(raw, checked, strict=False)
                    if usable is not None
                ],
            }

    def _ids(self, annotation: RawAnnotation) -> dict[str, Any]:
        number = annotation.number
        self._last_number = self._last_number + 1 if number is None else number
        ids = {
            "category_id": annotation.category,
            "iscrowd": int(annotation.is_crowd),
            "id": self._last_number,
        }
        return {**ids, "ignore": 1} if annotation.is_ignored else ids
