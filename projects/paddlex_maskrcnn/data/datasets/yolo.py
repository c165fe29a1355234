"""YOLO segmentation sets: a data.yaml, and a txt an image with one outline a line.

A line is `class x1 y1 x2 y2 x3 y3 ...`, fractions of the width and height of the upright image
(Ultralytics, docs/datasets/segment). A picture `.../images/NAME.jpg` has its lines in
`.../labels/NAME.txt`, and no objects where there is no such file. If no picture has one there, the lines
are looked for beside the pictures.

Holes and several parts are written as one outline that runs along bridges of no width (Ultralytics'
`merge_multi_segment`); drawn, that outline gives the same pixels, so it stays as it is.

`data_yaml` says how the data.yaml is read, `yolo_folder` what a set without one is. Category ids are class
numbers plus 1.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...config import signatures
from ...config.check import short_repr
from ...config.dataset_params import YoloSegmentationParams
from ...config.signature import takes_params
from ..images import IMAGE_SUFFIXES
from .annotations import ImageFrame, RawAnnotation
from .base import Content, DetectionDataset, as_categories
from .data_yaml import DataYaml
from .file_names import FOUND_BY_NAME
from .files import UnusableFileError, read_text
from .problems import DatasetError, Kind
from .reading import BAD_ANNOTATION, Parsed, Picture, Reading
from .values import IGNORED_LABEL
from .yolo_folder import is_label_name, label_file_of

logger = logging.getLogger(__name__)

BOX_LINE = Kind(
    "line with a box instead of an outline",
    "Mask R-CNN learns from masks: export segments, 'class x1 y1 x2 y2 x3 y3 ...', not boxes",
    skippable=True,
)
BAD_LINE = Kind(
    "line that is not 'class x1 y1 x2 y2 x3 y3 ...'",
    "each line needs a class number and three or more pairs of numbers",
    skippable=True,
)
NOT_FRACTIONS = Kind(
    "outline that is not in fractions of the image's sides",
    "divide x by the width and y by the height of the image",
    skippable=True,
)
UNKNOWN_NUMBER = Kind(
    "class number that is not in the yaml's names", "add the class to names, or correct the number"
)
_DIGITS = 6  # of pixels: enough, and 0.7 x 10 is 7 again
_FARTHEST = 1.0  # fractions outside the image; more is taken for pixels


class YoloSegmentation(DetectionDataset):
    """One part of a YOLO segmentation set."""

    @takes_params(YoloSegmentationParams, "YoloSegmentation", like=signatures.YoloSegmentation)
    def __init__(self, params: YoloSegmentationParams) -> None:
        """Read and check the yaml, label files and image headers.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        self._open(params)

    def _read(self, params: YoloSegmentationParams) -> Content:
        self.data_yaml = params.data_yaml
        name = f"{params.data_yaml} ({params.split})"
        source = DataYaml(Path(params.data_yaml))
        reading = Reading(
            name,
            source.folder,
            boxes_expected=False,
            finder=source.finder,
            image_list=params.image_list,
        )
        for title, where in source.repaired:
            reading.problems.repair(title, where)
        pictures = _pictures(source, params.split, reading)
        classes = {number: k for k, number in enumerate(source.names)}
        label_files = {picture.label_file for picture in pictures}
        records = reading.records(
            pictures,
            lambda picture: _parse(picture, classes, source, label_files),
            params.exif,
        )
        reading.problems.finish(params.skip_invalid)
        return Content(name, _categories(source), records, reading.names)


@dataclass(frozen=True)
class YoloPicture(Picture):
    """A picture, and where its lines would be."""

    label_file: Path


def _categories(source: DataYaml) -> list[dict[str, Any]]:
    categories = as_categories(list(source.names.values()))
    numbers = source.names.keys()
    return [{**category, "id": k + 1} for category, k in zip(categories, numbers, strict=True)]


def _pictures(source: DataYaml, split: str, reading: Reading) -> list[YoloPicture]:
    paths = source.pictures(split, reading.problems)
    pictures = [
        YoloPicture(
            str(path),
            f"image {k} ({_short(path, source)!r})",
            k,
            source.label_files.get(path) or label_file_of(path),
            is_guessed=path in source.guessed,
        )
        for k, path in enumerate(paths, 1)
    ]
    if pictures and not any(_has_lines(picture, source) for picture in pictures):
        beside = [
            replace(each, label_file=Path(each.path).with_suffix(".txt")) for each in pictures
        ]
        if any(_has_lines(picture, source) for picture in beside):
            return beside
        raise DatasetError(
            f"{source.path}: {split} has {len(pictures)} pictures but not one label file; the first "
            f"was looked for at {str(pictures[0].label_file)!r}"
        )
    _warn_of_lines_without_picture(source, split, pictures)
    return pictures


def _has_lines(picture: YoloPicture, source: DataYaml) -> bool:
    path = picture.label_file
    return path.is_file() or source.finder.spelt(os.path.relpath(path, source.root)) is not None


def _warn_of_lines_without_picture(
    source: DataYaml, split: str, pictures: Sequence[YoloPicture]
) -> None:
    """Where pictures have no label file, those that have no picture may be theirs, misnamed."""
    expected = {str(picture.label_file) for picture in pictures}
    present = _files_of({os.path.dirname(path) for path in expected}, ".txt")
    if expected <= present:
        return
    files = _files_of({os.path.dirname(picture.path) for picture in pictures}, *IMAGE_SUFFIXES)
    of_pictures = {str(label_file_of(Path(path))).casefold() for path in files}
    lonely = [
        path
        for path in sorted(present - expected)
        if path.casefold() not in of_pictures and is_label_name(os.path.basename(path))
    ]
    if lonely:
        logger.warning(
            "%s: %s: %d label files belong to no picture, while %d pictures have no label file and "
            "count as pictures without objects: %s. A label file is called as its picture",
            source.path, split, len(lonely), len(expected - present), ", ".join(lonely[:3]),
        )  # fmt: skip


def _files_of(folders: Iterable[str], *suffixes: str) -> set[str]:
    return {
        os.path.join(folder, name)
        for folder in folders
        if os.path.isdir(folder)
        for name in os.listdir(folder)
        if name.lower().endswith(suffixes) and not name.startswith(".")
    }


def _short(path: Path, source: DataYaml) -> str:
    return os.path.relpath(path, source.root)


def _parse(
    picture: YoloPicture, classes: dict[int, int], source: DataYaml, label_files: Collection[Path]
) -> Parsed:
    parsed = Parsed()
    path = _existing_label_file(picture, source, label_files, parsed)
    name = f"{path.parent.name}/{path.name}"
    try:
        lines = read_text(path).splitlines()
    except UnusableFileError as error:
        if str(error) != "missing":
            parsed.problems.append((BAD_ANNOTATION, f"{name}: {error}"))
        return parsed
    outlines = []
    for number, line in enumerate(lines, 1):
        where = f"{name} line {number}"
        numbers = _numbers(line)
        if numbers and numbers[0] in source.no_classes:
            parsed.repaired.append((IGNORED_LABEL, where))
            continue
        problem = _problem(numbers, classes, where, line)
        if problem is not None:
            parsed.problems.append(problem)
        elif numbers:
            outlines.append((where, classes[int(numbers[0])], numbers[1:]))
    parsed.objects = lambda frame: [_raw(*outline, frame) for outline in outlines]
    return parsed


def _existing_label_file(
    picture: YoloPicture, source: DataYaml, label_files: Collection[Path], parsed: Parsed
) -> Path:
    """Where the lines are, if need be under a name of other case or form of letters."""
    path = picture.label_file
    if os.path.lexists(path):
        return path
    match = source.finder.spelt(os.path.relpath(path, source.root))
    if match is None or Path(match) in label_files:
        return path
    parsed.repaired.append((FOUND_BY_NAME, f"{picture.where}: {_short(Path(match), source)!r}"))
    return Path(match)


def _numbers(line: str) -> list[float] | None:
    try:
        return [float(word) for word in line.split()]
    except ValueError:
        return None


def _problem(
    numbers: list[float] | None, classes: dict[int, int], where: str, line: str
) -> tuple[Kind, str] | None:
    if numbers == []:
        return None
    if numbers is not None and len(numbers) == 5:
        return BOX_LINE, where
    if numbers is None or len(numbers) < 7 or not len(numbers) % 2:
        return BAD_LINE, f"{where}: {short_repr(line, 60)}"
    if numbers[0] not in classes:
        return UNKNOWN_NUMBER, f"{where}: {numbers[0]:g}"
    if not all(-_FARTHEST <= number <= 1 + _FARTHEST for number in numbers[1:]):
        worst = max(
            numbers[1:], key=lambda number: abs(number) if math.isfinite(number) else math.inf
        )
        return NOT_FRACTIONS, f"{where}: {worst:g}"
    return None


def _raw(where: str, category: int, outline: list[float], frame: ImageFrame) -> RawAnnotation:
    sides = (frame.width, frame.height)
    polygon = [round(number * sides[k % 2], _DIGITS) for k, number in enumerate(outline)]
    return RawAnnotation(where, category, [polygon])
