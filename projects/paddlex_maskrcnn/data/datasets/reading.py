"""What reading a data set is in every format: pictures and raw annotations in, records out.

A reader lists its pictures and says how the annotations of a picture are parsed; `Reading` reads
headers and annotation files side by side in threads, settles which pixels the annotations were drawn
on, checks every annotation, and reports everything that was wrong at once. Pictures that are not where
their names lead are looked for under names that differ little (`FileFinder`).
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ..image_headers import Header, Size
from .annotations import AnnotationChecker, ImageFrame, RawAnnotation
from .file_names import FOUND_BY_NAME, FileFinder
from .files import in_threads, read_headers
from .image_list import ImageNames
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
TWO_NAMES = Kind(
    "picture that two names lead to",
    "name each picture as its file is called: one of the names was written otherwise",
)

_BLOCK = 1024  # pictures whose parsed annotations are held at once


@dataclass(frozen=True)
class Picture:
    """A picture of a data set that is being read.

    Attributes:
        path: absolute.
        where: names it in messages.
        image_id: its id.
        is_guessed: whether its file is called otherwise than the data set says.
        file_name: as the annotations have it, where they have one.
    """

    path: str
    where: str
    image_id: int
    is_guessed: bool = field(default=False, kw_only=True)
    file_name: str = field(default="", kw_only=True)


@dataclass
class Parsed:
    """What the annotations of a picture say.

    Attributes:
        said: the (height, width) they were made for, None where they say nothing.
        shape: a (height, width) of the same proportions, of annotations in fractions of the picture.
        objects: the annotations, given the frame they are drawn in.
        problems: what is wrong with them as a whole, and where.
        repaired: what was set right, and where.
    """

    said: Size | None = None
    shape: Size | None = None
    objects: Callable[[ImageFrame], Iterable[RawAnnotation]] = lambda frame: ()
    problems: list[tuple[Kind, str]] = field(default_factory=list)
    repaired: list[tuple[str, str]] = field(default_factory=list)


AnyPicture = TypeVar("AnyPicture", bound=Picture)
_Opened = tuple[Picture, ImageFrame, list[RawAnnotation]]


class Reading:
    """One data set being read.

    Attributes:
        problems: what is wrong with it.
        finder: of pictures that are not where their names lead.
        names: what lists of images call the pictures.
        pictures: those in use.
    """

    def __init__(
        self,
        source: str,
        folder: str | os.PathLike[str],
        *,
        boxes_expected: bool = True,
        finder: FileFinder | None = None,
        image_list: str | None = None,
    ) -> None:
        """Start with no problems.

        Args:
            source: names the data set in messages.
            folder: that names in lists of images start from.
            boxes_expected: whether the format has boxes beside its masks.
            finder: of pictures that are not where their names lead.
            image_list: a file with the names of the pictures that are read; None: all.
        """
        self.problems = Problems(source)
        self.finder = finder
        self.names = ImageNames(folder)
        self.pictures: Sequence[Picture] = ()
        self._image_list = image_list
        self._checker = AnnotationChecker(self.problems, boxes_expected)
        self._last_number = 0
        self._exif = AUTO

    def records(
        self,
        pictures: Sequence[AnyPicture],
        parse: Callable[[AnyPicture], Parsed],
        exif: str = AUTO,
    ) -> PackedRecords:
        """Records of the pictures in use, in order; what is wrong with them is noted.

        Args:
            pictures: of the whole data set, whatever part of it is in use.
            parse: called in threads, so it may only look at its argument.
            exif: on which pixels the annotations were drawn, see `orientation`.
        """
        self._exif = exif
        if self._image_list is not None:
            other = self.finder.root if self.finder else self.names.folder
            pictures = self.names.chosen(pictures, self._image_list, other, self.problems)
        self.pictures = pictures
        return PackedRecords(self._records(pictures, parse))

    def _records(
        self, pictures: Sequence[AnyPicture], parse: Callable[[AnyPicture], Parsed]
    ) -> Iterator[Record]:
        pictures, headers = self._with_headers(pictures)
        for first in range(0, len(pictures), _BLOCK):
            block = pictures[first : first + _BLOCK]
            yield from self._records_of(
                self._opened(picture, parsed, headers[picture.path])
                for picture, parsed in zip(block, in_threads(parse, block), strict=True)
            )

    def _with_headers(
        self, pictures: Sequence[AnyPicture]
    ) -> tuple[Sequence[AnyPicture], dict[str, Header | None]]:
        """The pictures where they are, and path -> header, None after noting why there is none."""
        paths = list(dict.fromkeys(picture.path for picture in pictures))
        headers = dict(zip(paths, read_headers(paths), strict=True))
        if self.finder and "missing" in headers.values():
            pictures = [
                self._looked_for(picture) if headers[picture.path] == "missing" else picture
                for picture in pictures
            ]
            paths = [picture.path for picture in pictures if picture.path not in headers]
            headers |= dict(zip(paths, read_headers(paths), strict=True))
        self._note_doubles(pictures)
        wheres = {picture.path: picture.where for picture in pictures}
        for path, where in wheres.items():
            header = headers[path]
            if header == "missing":
                self.problems.add(MISSING_IMAGE, where + self._hint(path))
            elif isinstance(header, str):
                self.problems.add(UNREADABLE_IMAGE, f"{where}: {header}")
        usable = {
            path: None if isinstance(headers[path], str) else headers[path] for path in wheres
        }
        return pictures, usable  # type: ignore[return-value]

    def _looked_for(self, picture: AnyPicture) -> AnyPicture:
        """The picture under the name that its file has; as it is if there is none."""
        assert self.finder is not None
        path = self.finder.find(os.path.relpath(picture.path, self.finder.root))
        if path is None:
            return picture
        self.note_guess(picture.where, path)
        self.names.written[path] = picture.path
        return replace(picture, path=path, is_guessed=True)

    def note_guess(self, where: str, path: str) -> None:
        """Count a file that is called otherwise than the data set says."""
        root = self.finder.root if self.finder else os.path.dirname(path)
        self.problems.repair(FOUND_BY_NAME, f"{where}: {os.path.relpath(path, root)!r}")

    def _hint(self, path: str) -> str:
        return self.finder.hint(os.path.relpath(path, self.finder.root)) if self.finder else ""

    def _note_doubles(self, pictures: Sequence[Picture]) -> None:
        """Name the pictures that were looked for and are those of other entries too."""
        if not any(picture.is_guessed for picture in pictures):
            return
        uses = Counter(picture.path for picture in pictures)
        for picture in pictures:
            if picture.is_guessed and uses[picture.path] > 1:
                self.problems.add(TWO_NAMES, f"{picture.where}: {picture.path!r}")

    def _opened(self, picture: Picture, parsed: Parsed, header: Header | None) -> _Opened | None:
        """The raw annotations of a picture; None after noting why they have no pixels to be on."""
        for kind, where in parsed.problems:
            self.problems.add(kind, where)
        for title, where in parsed.repaired:
            self.problems.repair(title, where)
        frame = self._frame(header, parsed.said, picture.where) if header else None
        if header is None or frame is None or not self._has_shape(header, parsed.shape, picture):
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

    def _has_shape(self, header: Header, shape: Size | None, picture: Picture) -> bool:
        """Whether a picture has the proportions that its annotations were drawn in; notes if not."""
        if shape is None or any(
            abs(width * shape[0] - height * shape[1]) <= max(height, width, *shape)
            for height, width in (header.upright, header.stored)
        ):
            return True
        height, width = header.upright
        self.problems.add(
            OTHER_SIZE,
            f"{picture.where}: the file is {width}x{height}, drawn on was {shape[1]}x{shape[0]}",
        )
        return False

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
