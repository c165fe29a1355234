"""Pictures with an annotation file each, as PaddleX's VOC and EasyData sets have them, in a list file.

A line of the list is `image annotation`, relative to data_dir (VOC's may name the mask in a third
column, or be names alone as in ImageSets: JPEGImages/NAME.jpg, Annotations/NAME.xml). Without a list
every annotation file of the folder is used, with its picture (`unlisted`). Category ids count from 1 in the
order of label_list; without it in the order of the names that occur.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ..images import IMAGE_SUFFIXES
from .base import Content, DetectionDataset, as_categories
from .file_names import FOUND_BY_NAME, FileFinder
from .files import (
    UnusableFileError,
    in_threads,
    is_picture,
    leaves_folder,
    read_labels,
    read_lines,
)
from .problems import DatasetError, Kind, Problems
from .reading import BAD_ANNOTATION, OUTSIDE_FILE, Parsed, Picture, Reading
from .unlisted import SEVERAL_PICTURES, annotated_in
from .values import IGNORED_LABEL, NO_CLASSES, without_ignored

UNKNOWN_CLASS = Kind(
    "object of a class that is not in label_list",
    "add the class to label_list, or correct its name",
)
BAD_LINE = Kind(
    "line that is not 'image annotation'",
    "each line names an image and its annotation file, relative to data_dir, with a space between "
    "(a tab where names have spaces in them)",
)


@dataclass(frozen=True)
class ListedPicture(Picture):
    """A picture of a list.

    Attributes:
        name: the annotation file as the list has it.
        annotation: the annotation file.
        mask: where its mask file is, if the format has one.
    """

    name: str
    annotation: Path
    mask: Path


class ListedDetection(DetectionDataset):
    """Images with an annotation file each; subclasses say how it is read.

    Attributes:
        suffix: of annotation files.
        mask_folder: folder of mask pictures; empty for formats without.
    """

    suffix: ClassVar[str]
    mask_folder: ClassVar[str] = ""

    def _read(self, params: Any) -> Content:
        labels = None if params.label_list is None else read_labels(params.label_list)
        self.data_dir = params.data_dir
        finder = FileFinder(params.data_dir)
        reading = Reading(
            _source(params), params.data_dir, finder=finder, image_list=params.image_list
        )
        if not Path(params.data_dir).is_dir():
            raise DatasetError(f"data_dir {params.data_dir!r} is not a folder")
        if params.file_list is None:
            pictures = self._unlisted(Path(params.data_dir), reading.problems)
        else:
            pictures = self._pictures(Path(params.data_dir), params.file_list, reading)
        self._check(pictures, finder)
        listed = {picture.annotation for picture in pictures}
        contents: dict[Path, Any] = {}
        if labels is None:
            files = [_where_it_is(picture, finder, listed)[0].annotation for picture in pictures]
            contents = dict(zip(files, in_threads(self._content_or_none, files), strict=True))
            labels = self._labels_of(contents.values(), reading.problems)
        classes = {name: k for k, name in enumerate(labels)}

        def parse(picture: ListedPicture) -> Parsed:
            where, repaired = _where_it_is(picture, finder, listed)
            try:
                content = contents.pop(where.annotation, None) or self._content(where.annotation)
            except UnusableFileError as error:
                return Parsed(problems=[(BAD_ANNOTATION, f"{picture.name}: {error}")])
            parsed = self._parse(where, content, classes)
            parsed.repaired += repaired
            return parsed

        records = reading.records(pictures, parse, params.exif)
        reading.problems.finish(params.skip_invalid)
        name = params.file_list or params.data_dir
        return Content(name, as_categories(labels), records, reading.names)

    @classmethod
    def class_names(cls, files: Iterable[Path]) -> set[str]:
        """The classes that occur in annotation files; those that cannot be read are passed over."""
        contents = in_threads(cls._content_or_none, list(files))
        names = {name for each in contents if each is not None for name in cls._names_in(each)}
        return names - NO_CLASSES

    @classmethod
    def _content_or_none(cls, path: Path) -> Any:
        try:
            return cls._content(path)
        except UnusableFileError:
            return None

    def _labels_of(self, contents: Iterable[Any], problems: Problems) -> list[str]:
        """The classes that occur, in the order of their names; DatasetError without any."""
        names = {name for each in contents if each is not None for name in self._names_in(each)}
        labels = without_ignored(sorted(names))
        if not labels:
            problems.finish(skip_invalid=False)  # when there are reasons why, these are told
            raise DatasetError(
                f"{problems.source}: there is no object to learn; give label_list if this is meant"
            )
        return labels

    def _check(self, pictures: list[ListedPicture], finder: FileFinder) -> None:
        """Stop at what is wrong with the whole set; DatasetError."""

    @classmethod
    def _content(cls, path: Path) -> Any:
        """What an annotation file says; UnusableFileError. Called in threads."""
        raise NotImplementedError

    @classmethod
    def _names_in(cls, content: Any) -> Iterable[str]:
        """The class names of an annotation file, one for each object."""
        raise NotImplementedError

    @classmethod
    def _picture_named(cls, path: Path) -> str:
        """The picture that an annotation file names; empty where it does not."""
        return ""

    def _parse(self, picture: ListedPicture, content: Any, classes: Mapping[str, int]) -> Parsed:
        """The annotations of a picture; called in threads."""
        raise NotImplementedError

    def _unlisted(self, data_dir: Path, problems: Problems) -> list[ListedPicture]:
        """A picture for each annotation file of a folder, numbered from 1 in order of their names."""
        pictures: list[ListedPicture] = []
        for entry in annotated_in(data_dir, self.suffix, self.mask_folder, self._picture_named):
            name = os.path.relpath(entry.annotation, data_dir)
            number = len(pictures) + 1
            where = f"image {number} (of {name!r})"
            if len(entry.pictures) > 1:
                listed = ", ".join(os.path.relpath(path, data_dir) for path in entry.pictures[:3])
                problems.add(SEVERAL_PICTURES, f"{name}: {listed}")
            image = str(entry.pictures[0])
            pictures.append(ListedPicture(image, where, number, name, entry.annotation, entry.mask))
        if not pictures:
            raise DatasetError(f"data_dir {str(data_dir)!r} has no {self.suffix} files")
        return pictures

    def _pictures(self, data_dir: Path, file_list: str, reading: Reading) -> list[ListedPicture]:
        """The pictures of a list, numbered from 1; lines that cannot be used are noted.

        Raises:
            DatasetError: if the list cannot be read.
        """
        columns = (1, 2, 3) if self.mask_folder else (2,)
        pictures: list[ListedPicture] = []
        for line in _lines(file_list, reading.problems, columns):
            if len(line.names) > 1 and is_picture(line.names[1]):
                reading.problems.add(self._no_picture(), f"{line.where}: {line.names[1]!r}")
                continue
            names = self._names(line, data_dir)
            paths = [_path_of(name, line.where, reading) for name in names]
            if None in paths:
                continue
            image, annotation, mask = (Path(os.path.normpath(path)) for path in paths if path)
            number = len(pictures) + 1
            where = f"image {number} ({names[0]!r})"
            picture = ListedPicture(
                str(image),
                where,
                number,
                names[1],
                annotation,
                mask,
                is_guessed=leaves_folder(names[0]),
                file_name=names[0],
            )
            pictures.append(picture)
        return pictures

    def _no_picture(self) -> Kind:
        kind = self.suffix.removeprefix(".")
        place = f"; it may be the third column, or {self.mask_folder}/NAME.png"
        return Kind(
            f"line whose second column is a picture instead of the image's {kind}",
            f"the second column must be the {kind}, which names the classes of the objects; a mask alone "
            f"does not tell them{place if self.mask_folder else ''}",
        )

    def _names(self, line: _Line, data_dir: Path) -> tuple[str, str, str]:
        """Image, annotation and mask, relative to data_dir."""
        first, *rest = line.names
        # VOC's ImageSets: a name alone, or 'name -1' with a mark of what is in the picture
        if not rest or (rest[0].lstrip("-").isdigit() and len(rest) == 1):
            image, annotation = _image_named(first, data_dir), f"Annotations/{first}{self.suffix}"
        else:
            image, annotation = first, rest[0]
        stem = Path(image).stem
        mask = rest[1] if len(rest) > 1 else os.path.join(self.mask_folder, f"{stem}.png")
        return image, annotation, mask


def _source(params: Any) -> str:
    """What messages call the data set."""
    is_file = isinstance(params.label_list, str)
    label_file = f"label_list {params.label_list!r}" if is_file else ""
    if params.file_list is None:
        return f"{params.data_dir} ({label_file})" if is_file else params.data_dir
    label_file = f", {label_file}" if is_file else ""
    return f"{params.file_list} (data_dir {params.data_dir!r}{label_file})"


def _path_of(name: str, where: str, reading: Reading) -> str | None:
    """Where a name of the list leads; None after noting that this is outside the folder."""
    finder = reading.finder
    assert finder is not None
    if not leaves_folder(name):
        return os.path.join(finder.root, name)
    path = finder.find(name)
    if path is None:
        reading.problems.add(OUTSIDE_FILE, f"{where}: {name!r}{finder.hint(name)}")
    else:
        reading.note_guess(f"{where} ({name!r})", path)
    return path


def _where_it_is(
    picture: ListedPicture, finder: FileFinder, listed: Collection[Path]
) -> tuple[ListedPicture, list[tuple[str, str]]]:
    """The picture with annotation and mask under the names that their files have, and what was set right.

    Args:
        listed: the annotation files of all pictures, of which none is another picture's.
    """
    changes: dict[str, Path] = {}
    for field in ("annotation", "mask"):
        path = getattr(picture, field)
        if os.path.lexists(path):
            continue
        match = finder.find(os.path.relpath(path, finder.root))
        if match is not None and Path(match) not in listed:
            changes[field] = Path(match)
    repaired = [
        (FOUND_BY_NAME, f"{picture.where}: {os.path.relpath(path, finder.root)!r}")
        for path in changes.values()
    ]
    return (replace(picture, **changes) if changes else picture), repaired  # type: ignore[arg-type]


def class_of(name: str, classes: Mapping[str, int], where: str, parsed: Parsed) -> int | None:
    """The class of a name; None after noting that there is no such class, or that it means none."""
    if name in NO_CLASSES:
        parsed.repaired.append((IGNORED_LABEL, where))
    elif name not in classes:
        parsed.problems.append((UNKNOWN_CLASS, where))
    return classes.get(name)


def _image_named(stem: str, data_dir: Path) -> str:
    names = [f"JPEGImages/{stem}{suffix}" for suffix in IMAGE_SUFFIXES]
    return next((name for name in names if (data_dir / name).is_file()), names[0])


@dataclass(frozen=True)
class _Line:
    """A line of a list of images.

    Attributes:
        names: the files of the line, as written but with forward slashes; one or more.
        where: file and line.
    """

    names: tuple[str, ...]
    where: str


def _lines(file_list: str, problems: Problems, columns: tuple[int, ...]) -> list[_Line]:
    """The lines of a list of images; lines with another number of columns are noted.

    Raises:
        DatasetError: if the list cannot be read or is empty.
    """
    lines = []
    for number, line in read_lines(Path(file_list), "file_list"):
        names = [name.strip() for name in line.split("\t")] if "\t" in line else line.split()
        where = f"{os.path.basename(file_list)} line {number}"
        if len(names) not in columns or "" in names:
            problems.add(BAD_LINE, f"{where}: {line!r:.80}")
        else:
            lines.append(_Line(tuple(name.replace("\\", "/") for name in names), where))
    return lines
