"""Pictures of a list file with an annotation file each, as PaddleX's VOC and EasyData sets have them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..images import IMAGE_SUFFIXES
from ..transforms.compose import Compose
from .base import DetectionDataset
from .options import check_flag, check_reading_options, note_without_effect
from .problems import DatasetError, Kind, Problems
from .reading import OUTSIDE_FILE, Parsed, Picture, Reading, leaves_folder
from .text_files import ListedFiles, as_categories, read_file_list, read_labels

UNKNOWN_CLASS = Kind(
    "object of a class that is not in label_list",
    "add the class to label_list, or correct its name",
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


Parser = Callable[[ListedPicture], Parsed]


@dataclass(frozen=True)
class ListedFormat:
    """What differs between formats whose images come from a list.

    Attributes:
        suffix: of annotation files.
        mask_folder: folder of mask pictures; empty for formats without.
        build_parser: class names and pictures -> what parses the annotations of one picture.
    """

    suffix: str
    mask_folder: str
    build_parser: Callable[[list[str], list[ListedPicture]], Parser]


class ListedDetection(DetectionDataset):
    """Images of a list; subclasses say what their annotation files are in `format`."""

    format: ClassVar[ListedFormat]

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        file_list: str | os.PathLike[str],
        label_list: str | os.PathLike[str] | list[str],
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        buffer_size: int = 100,
        parallel_method: str = "process",
        shuffle: bool = False,
        *,
        skip_invalid: bool = False,
    ) -> None:
        """Read and check lists, annotation files and image headers.

        Args:
            data_dir: the folder that the names in the list start from.
            file_list: lines `image annotation`; VOC's may name the mask in a third column, or be
                names alone as in ImageSets (JPEGImages/NAME.jpg, Annotations/NAME.xml).
            label_list: file with a class name a line, or the names; category ids count from 1.
            num_workers: loader processes, or 'auto' for half the cores, at most eight.
            buffer_size: accepted for PaddleX scripts; has no effect.
            parallel_method: accepted for PaddleX scripts; has no effect.
            shuffle: whether training sees the images in random order.
            skip_invalid: leave out single bad annotations instead of stopping.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        check_reading_options(type(self).__name__, transforms, num_workers, shuffle)
        check_flag(type(self).__name__, "skip_invalid", skip_invalid)
        note_without_effect(buffer_size, parallel_method)
        labels = read_labels(label_list)
        self.data_dir = os.fspath(data_dir)
        classes = "" if isinstance(label_list, list) else f", label_list {os.fspath(label_list)!r}"
        reading = Reading(f"{os.fspath(file_list)} (data_dir {self.data_dir!r}{classes})")
        pictures = _pictures(Path(data_dir), file_list, reading.problems, self.format)
        records = reading.records(pictures, self.format.build_parser(labels, pictures))
        reading.finish(skip_invalid)
        super().__init__(
            name=os.fspath(file_list),
            categories=as_categories(labels),
            records=records,
            transforms=transforms,
            num_workers=num_workers,
            shuffle=shuffle,
        )


def class_of(name: str, classes: dict[str, int], where: str, parsed: Parsed) -> int | None:
    """The class of a name; None after noting that there is no such class."""
    if name not in classes:
        parsed.problems.append((UNKNOWN_CLASS, where))
    return classes.get(name)


def _pictures(
    data_dir: Path,
    file_list: str | os.PathLike[str],
    problems: Problems,
    form: ListedFormat,
) -> list[ListedPicture]:
    """The pictures of a list, numbered from 1; lines that cannot be used are noted.

    Raises:
        DatasetError: if there is no such folder, or the list cannot be read.
    """
    if not data_dir.is_dir():
        raise DatasetError(f"data_dir {str(data_dir)!r} is not a folder")
    columns = (1, 2, 3) if form.mask_folder else (2,)
    pictures: list[ListedPicture] = []
    for line in read_file_list(file_list, problems, columns):
        names = _names(line, data_dir, form)
        outside = [name for name in names if leaves_folder(name)]
        if outside:
            problems.add(OUTSIDE_FILE, f"{line.where}: {outside[0]!r}")
            continue
        image, annotation, mask = (
            Path(os.path.normpath(data_dir.absolute() / name)) for name in names
        )
        number = len(pictures) + 1
        where = f"image {number} ({names[0]!r})"
        pictures.append(ListedPicture(str(image), where, number, names[1], annotation, mask))
    return pictures


def _names(line: ListedFiles, data_dir: Path, form: ListedFormat) -> tuple[str, str, str]:
    """Image, annotation and mask, relative to data_dir."""
    first, *rest = line.names
    if not rest or (rest[0].lstrip("-").isdigit() and len(rest) == 1):  # VOC: a name, or 'name -1'
        image, annotation = _image_named(first, data_dir), f"Annotations/{first}{form.suffix}"
    else:
        image, annotation = first, rest[0]
    mask = rest[1] if len(rest) > 1 else os.path.join(form.mask_folder, f"{Path(image).stem}.png")
    return image, annotation, mask


def _image_named(stem: str, data_dir: Path) -> str:
    names = [f"JPEGImages/{stem}{suffix}" for suffix in IMAGE_SUFFIXES]
    return next((name for name in names if (data_dir / name).is_file()), names[0])
