"""Folders of LabelMe json files.

Each json is an image. Its picture is the file that `imagePath` names, one of that name beside the
json, or the pixels in the json itself (`imageData`). A picture without a json is not used: nobody
has said that it is empty. What becomes of the shapes is in `labelme_shapes`.

Differences to PaddleX's converter: classes are in the order of their names, not of the folder's
files; `group_id` joins parts; areas are those of the masks; circles, masks and rectangles drawn from
any corner work; images that have their pixels in the json need no file.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..image_headers import Size
from ..images import IMAGE_SUFFIXES
from ..transforms.compose import Compose
from .annotations import ImageFrame, RawObject
from .base import DetectionDataset
from .files import files_below, in_threads, is_picture
from .labelme_shapes import Instance, instances_of
from .listed import class_of
from .options import check_flag, check_reading_options
from .problems import DatasetError, Problems
from .reading import BAD_ANNOTATION, OUTSIDE_FILE, Parsed, Picture, Reading, leaves_folder
from .text_files import UnusableFileError, as_categories, read_json, read_labels

FOUND_BY_NAME = "picture that imagePath does not lead to, found by the name of its json"


@dataclass(frozen=True)
class LabelMeFile:
    """A json that was read.

    Attributes:
        name: relative to data_dir.
        image_path: as it says, with forward slashes.
        has_pixels: whether the picture is in it.
        size: (height, width) it was drawn on, None where it does not say.
        instances: the objects.
    """

    name: str
    image_path: str
    has_pixels: bool
    size: Size | None
    instances: list[Instance]


@dataclass(frozen=True)
class LabelMePicture(Picture):
    """A picture and what its json says."""

    file: LabelMeFile


class LabelMeDetection(DetectionDataset):
    """The images of a folder's LabelMe json files."""

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        label_list: str | os.PathLike[str] | Sequence[str] | None = None,
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        shuffle: bool = False,
        *,
        image_dir: str | os.PathLike[str] | None = None,
        skip_invalid: bool = False,
    ) -> None:
        """Read and check json files and image headers.

        Args:
            data_dir: the folder of the json files; those in folders below it count too.
            label_list: file with a class name a line, or the names; None for all that occur, in
                the order of their names. Category ids count from 1.
            num_workers: loader processes, or 'auto' for half the cores, at most eight.
            shuffle: whether training sees the images in random order.
            image_dir: folder of the pictures where they are not where the json files say.
            skip_invalid: leave out single bad annotations instead of stopping.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        check_reading_options("LabelMeDetection", transforms, num_workers, shuffle)
        check_flag("LabelMeDetection", "skip_invalid", skip_invalid)
        self.data_dir = os.fspath(data_dir)
        labels = None if label_list is None else read_labels(label_list)
        reading = Reading(f"LabelMe files of {self.data_dir!r}", boxes_expected=False)
        files = _read_files(Path(data_dir), reading.problems)
        if labels is None:
            labels = _labels_of(files, reading)
        folders = Path(data_dir).absolute(), Path(image_dir or data_dir).absolute()
        pictures = _pictures(files, *folders, image_dir is not None, reading.problems)
        classes = {name: k for k, name in enumerate(labels)}
        records = reading.records(pictures, lambda picture: _parse(picture.file, classes))
        reading.finish(skip_invalid)
        super().__init__(
            name=self.data_dir,
            categories=as_categories(labels),
            records=records,
            transforms=transforms,
            num_workers=num_workers,
            shuffle=shuffle,
        )


def _read_files(data_dir: Path, problems: Problems) -> list[LabelMeFile]:
    if not data_dir.is_dir():
        raise DatasetError(f"data_dir {str(data_dir)!r} is not a folder")
    paths = [path for path in files_below(data_dir) if path.suffix.lower() == ".json"]
    if not paths:
        raise DatasetError(f"data_dir {str(data_dir)!r} has no json files")
    names = [path.relative_to(data_dir).as_posix() for path in paths]
    files = []
    found = in_threads(lambda pair: _read_file(*pair), list(zip(paths, names, strict=True)))
    for name, file in zip(names, found, strict=True):
        if isinstance(file, str):
            problems.add(BAD_ANNOTATION, f"{name}: {file}")
        else:
            files.append(file)
    return files


def _read_file(path: Path, name: str) -> LabelMeFile | str:
    """The file, or why it cannot be used."""
    try:
        content = read_json(path)
    except UnusableFileError as error:
        return str(error)
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        return "not LabelMe's json: no list of shapes"
    for number, shape in enumerate(shapes, 1):
        if not isinstance(shape.get("label"), str) or not shape["label"]:
            return f"shape {number} has no label"
    image_path = content.get("imagePath")
    sides = content.get("imageHeight"), content.get("imageWidth")
    return LabelMeFile(
        name,
        image_path.replace("\\", "/") if isinstance(image_path, str) else "",
        isinstance(content.get("imageData"), str),
        sides if all(isinstance(side, int) and side > 0 for side in sides) else None,
        instances_of(shapes, name),
    )


def _labels_of(files: list[LabelMeFile], reading: Reading) -> list[str]:
    labels = sorted({one.label for file in files for one in file.instances if one.fault is None})
    if not labels:
        reading.finish(skip_invalid=False)  # when there are reasons why, these are told
        raise DatasetError(
            f"{reading.problems.source}: there is no object to learn; give label_list if this is meant"
        )
    return labels


def _pictures(
    files: list[LabelMeFile], data_dir: Path, image_dir: Path, elsewhere: bool, problems: Problems
) -> list[LabelMePicture]:
    pictures: list[LabelMePicture] = []
    for file in files:
        folder = image_dir if elsewhere else (data_dir / file.name).parent
        path = _picture_path(file, folder, image_dir, problems)
        if path is None and not file.has_pixels:
            problems.add(OUTSIDE_FILE, f"{file.name}: imagePath {file.image_path!r}")
            continue
        number = len(pictures) + 1
        where = f"image {number} ({file.image_path!r} of {file.name})"
        pictures.append(LabelMePicture(str(path or data_dir / file.name), where, number, file))
    return pictures


def _picture_path(file: LabelMeFile, folder: Path, root: Path, problems: Problems) -> Path | None:
    """Where the picture is; None if it is in the json, or only a way out of `root` leads to it."""
    name = "" if "\0" in file.image_path else file.image_path
    named = Path(os.path.normpath(folder / name))
    inside = not leaves_folder(os.path.relpath(named, root))
    for path in [named] * inside + [folder / os.path.basename(name)]:
        if is_picture(path.name) and path.is_file():
            return path
    if file.has_pixels:
        return None
    for suffix in IMAGE_SUFFIXES:
        path = folder / (Path(file.name).stem + suffix)
        if path.is_file():
            problems.repair(FOUND_BY_NAME, f"{file.name}: imagePath {file.image_path!r}")
            return path
    return named if inside else None


def _parse(file: LabelMeFile, classes: dict[str, int]) -> Parsed:
    parsed = Parsed(said=file.size)
    usable: list[tuple[Instance, int]] = []
    for one in file.instances:
        if one.fault is not None:
            parsed.problems.append(one.fault)
            continue
        category = class_of(one.label, classes, one.where, parsed)
        if category is not None:
            usable.append((one, category))
    parsed.objects = lambda frame: [_raw_object(*pair, frame) for pair in usable]
    return parsed


def _raw_object(one: Instance, category: int, frame: ImageFrame) -> RawObject:
    flags: dict[str, Any] = {
        "is_crowd": "iscrowd" in one.flags,
        "is_ignored": "difficult" in one.flags,
    }
    return RawObject(one.where, category, one.segmentation(frame), **flags)
