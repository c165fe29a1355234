"""Folders of LabelMe json files.

Each json is an image. Its picture is the file that `imagePath` names, one of that name beside the
json, or the pixels in the json itself (`imageData`). A picture without a json is not used: nobody
has said that it is empty.

How shapes become objects is in `labelme_shapes`. The labels `__ignore__` and `_background_`, with which
LabelMe's own class lists begin, are neither classes nor objects.

Differences to PaddleX's converter: classes are in the order of their names, not of the folder's
files; `group_id` joins parts; areas are those of the masks; circles, masks and rectangles drawn from
any corner work; images that have their pixels in the json need no file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...config import signatures
from ...config.dataset_params import LabelMeDetectionParams
from ...config.signature import takes_params
from ..image_headers import Size
from ..images import IMAGE_SUFFIXES
from .annotations import ImageFrame, RawAnnotation
from .base import Content, DetectionDataset, as_categories
from .file_names import FOUND_BY_NAME, FileFinder
from .files import (
    UnusableFileError,
    files_below,
    in_threads,
    is_picture,
    leaves_folder,
    read_json,
    read_labels,
)
from .labelme_shapes import Instance, instances_of
from .listed import class_of
from .problems import DatasetError, Kind, Problems
from .reading import BAD_ANNOTATION, OUTSIDE_FILE, Parsed, Picture, Reading
from .values import IGNORED_LABEL, NO_CLASSES, WRITTEN_OTHERWISE, integer, is_integer, shown

MATCHED_BY_NAME = "picture that imagePath does not lead to, found by the name of its json"

OTHER_JSON = Kind(
    "json file that is no LabelMe file, left out",
    "take it out of the folder if this is as it should be",
)

_NO_LABELME = "not LabelMe's json: no list of shapes"
_SIDES = ("imageHeight", "imageWidth")
_KEYS = {"shapes", "imagePath", "imageData", *_SIDES}


class LabelMeDetection(DetectionDataset):
    """The images of a folder's LabelMe json files."""

    @takes_params(LabelMeDetectionParams, "LabelMeDetection", like=signatures.LabelMeDetection)
    def __init__(self, params: LabelMeDetectionParams) -> None:
        """Read and check json files and image headers.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        self._open(params)

    def _read(self, params: LabelMeDetectionParams) -> Content:
        self.data_dir = params.data_dir
        labels = None if params.label_list is None else read_labels(params.label_list)
        reading = Reading(
            f"LabelMe files of {params.data_dir!r}",
            params.data_dir,
            boxes_expected=False,
            image_list=params.image_list,
        )
        files = _read_files(Path(params.data_dir), reading.problems)
        if labels is None:
            labels = _labels_of(files, reading.problems)
        pictures = _pictures(files, params, reading.problems)
        classes = {name: k for k, name in enumerate(labels)}
        records = reading.records(
            pictures, lambda picture: _parse(picture.file, classes), params.exif
        )
        reading.problems.finish(params.skip_invalid)
        return Content(params.data_dir, as_categories(labels), records, reading.names)


@dataclass(frozen=True)
class LabelMeFile:
    """A json that was read.

    Attributes:
        name: relative to data_dir.
        image_path: as it says, with forward slashes.
        has_pixels: whether the picture is in it.
        size: (height, width) it was drawn on, None where it does not say.
        instances: the objects.
        repaired: what was set right, and where.
        is_labelme: whether it has anything of LabelMe's; other programs leave jsons too.
    """

    name: str
    image_path: str
    has_pixels: bool
    size: Size | None
    instances: list[Instance]
    repaired: list[tuple[str, str]]
    is_labelme: bool = True


@dataclass(frozen=True)
class LabelMePicture(Picture):
    """A picture and what its json says."""

    file: LabelMeFile


def _read_files(data_dir: Path, problems: Problems) -> list[LabelMeFile]:
    if not data_dir.is_dir():
        raise DatasetError(f"data_dir {str(data_dir)!r} is not a folder")
    paths = [path for path in files_below(data_dir) if path.suffix.lower() == ".json"]
    if not paths:
        raise DatasetError(f"data_dir {str(data_dir)!r} has no json files")
    names = [path.relative_to(data_dir).as_posix() for path in paths]
    files, others = [], []
    read = in_threads(lambda pair: _read_file(*pair), list(zip(paths, names, strict=True)))
    for name, file in zip(names, read, strict=True):
        if isinstance(file, str):
            problems.add(BAD_ANNOTATION, f"{name}: {file}")
        elif not file.is_labelme:
            others.append(name)
        else:
            files.append(file)
    for name in others:
        if files:
            problems.remark(OTHER_JSON, name)
        else:
            problems.add(BAD_ANNOTATION, f"{name}: {_NO_LABELME}")
    return files


def _read_file(path: Path, name: str) -> LabelMeFile | str:
    """The file, or why it cannot be used."""
    try:
        content = read_json(path)
    except UnusableFileError as error:
        return str(error)
    if isinstance(content, dict) and content and not content.keys() & _KEYS:
        return LabelMeFile(name, "", False, None, [], [], is_labelme=False)
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        return _NO_LABELME
    for number, shape in enumerate(shapes, 1):
        if not isinstance(label := shape.get("label"), str) or not label:
            return f"shape {number} has no label" + (f": it is {shown(label)}" if label else "")
    image_path, size = content.get("imagePath"), _size_of(content)
    if isinstance(size, str):
        return size
    plain = all(is_integer(content.get(key)) for key in _SIDES) or size is None
    return LabelMeFile(
        name,
        image_path.replace("\\", "/") if isinstance(image_path, str) else "",
        isinstance(content.get("imageData"), str),
        size,
        instances_of(shapes, name, size),
        [] if plain else [(WRITTEN_OTHERWISE, f"{name}: {' and '.join(_SIDES)}")],
    )


def _size_of(content: dict[str, Any]) -> Size | str | None:
    """(height, width) in pixels; None where the json does not say it, a text if it is none."""
    given = [content.get(key) for key in _SIDES]
    sides = [integer(value) for value in given]
    for key, value, side in zip(_SIDES, given, sides, strict=True):
        if value is not None and (side is None or side < 0):
            return f"{key} is {shown(value)}, a number of pixels is needed"
    height, width = sides
    return (height, width) if height and width else None  # 0 says nothing, as in VOC


def class_names(paths: Sequence[Path]) -> set[str]:
    """The labels of json files; those that cannot be read are passed over."""

    def labels_in(path: Path) -> set[str]:
        try:
            shapes = read_json(path).get("shapes")
            return {shape["label"] for shape in shapes if isinstance(shape["label"], str)}
        except (UnusableFileError, AttributeError, KeyError, TypeError):
            return set()

    return set().union(*in_threads(labels_in, paths)) - NO_CLASSES


def _labels_of(files: list[LabelMeFile], problems: Problems) -> list[str]:
    instances = [each for file in files for each in file.instances if each.label not in NO_CLASSES]
    labels = sorted({instance.label for instance in instances if instance.fault is None})
    if not labels:
        for instance in instances:
            if instance.fault is not None:
                problems.add(*instance.fault)
        problems.finish(skip_invalid=False)  # when there are reasons why, these are told
        raise DatasetError(
            f"{problems.source}: there is no object to learn; give label_list if this is meant"
        )
    return labels


def _pictures(
    files: list[LabelMeFile], params: LabelMeDetectionParams, problems: Problems
) -> list[LabelMePicture]:
    data_dir = Path(params.data_dir).absolute()
    image_dir = Path(params.image_dir or params.data_dir).absolute()
    elsewhere = params.image_dir is not None
    finders: dict[Path, FileFinder] = {}
    pictures: list[LabelMePicture] = []
    for file in files:
        folder = image_dir if elsewhere else (data_dir / file.name).parent
        path, title = _picture_path(file, folder, image_dir, finders)
        if path is None and not file.has_pixels:
            problems.add(OUTSIDE_FILE, f"{file.name}: imagePath {file.image_path!r}")
            continue
        if title:
            problems.repair(title, f"{file.name}: imagePath {file.image_path!r}")
        number = len(pictures) + 1
        where = f"image {number} ({file.image_path!r} of {file.name})"
        path = path or data_dir / file.name
        picture = LabelMePicture(str(path), where, number, file, file_name=file.image_path)
        pictures.append(replace(picture, is_guessed=title == FOUND_BY_NAME))
    return pictures


def _picture_path(
    file: LabelMeFile, folder: Path, root: Path, finders: dict[Path, FileFinder]
) -> tuple[Path | None, str]:
    """Where the picture is, and the title of the repair if it is not where imagePath leads.

    None if it is in the json, or only a way out of `root` leads to it.
    """
    name = "" if "\0" in file.image_path else file.image_path
    named = Path(os.path.normpath(folder / name))
    inside = not leaves_folder(os.path.relpath(named, root))
    for path in [named] * inside + [folder / os.path.basename(name)]:
        if is_picture(path.name) and path.is_file():
            return path, ""
    if file.has_pixels:
        return None, ""
    finder = finders.setdefault(folder, FileFinder(folder))
    match = finder.find(os.path.basename(name)) if is_picture(name) else None
    if match:
        return Path(match), FOUND_BY_NAME
    for suffix in IMAGE_SUFFIXES:
        path = folder / (Path(file.name).stem + suffix)
        if path.is_file():
            return path, MATCHED_BY_NAME
    return (named if inside else None), ""


def _parse(file: LabelMeFile, classes: Mapping[str, int]) -> Parsed:
    parsed = Parsed(said=file.size, repaired=list(file.repaired))
    usable: list[tuple[Instance, int]] = []
    for instance in file.instances:
        if instance.label in NO_CLASSES:
            parsed.repaired.append((IGNORED_LABEL, instance.where))
            continue
        if instance.fault is not None:
            parsed.problems.append(instance.fault)
            continue
        category = class_of(instance.label, classes, instance.where, parsed)
        if category is not None:
            usable.append((instance, category))
            titles = dict.fromkeys(instance.repaired)
            parsed.repaired += [(title, instance.where) for title in titles]
    parsed.objects = lambda frame: [_raw(*pair, frame) for pair in usable]
    return parsed


def _raw(instance: Instance, category: int, frame: ImageFrame) -> RawAnnotation:
    flags: dict[str, Any] = {
        "is_crowd": "iscrowd" in instance.marks,
        "is_ignored": "difficult" in instance.marks,
    }
    return RawAnnotation(instance.where, category, instance.segmentation(frame), **flags)
