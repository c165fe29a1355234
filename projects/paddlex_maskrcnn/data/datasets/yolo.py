"""YOLO segmentation sets: a data.yaml, and a txt an image with one outline a line.

A line is `class x1 y1 x2 y2 x3 y3 ...`, fractions of the width and height of the upright image
(Ultralytics, docs/datasets/segment). A picture `.../images/NAME.jpg` has its lines in
`.../labels/NAME.txt`, and no objects where there is no such file.

Holes and several parts are written as one outline that runs along bridges of no width (Ultralytics'
`merge_multi_segment`); drawn, that outline gives the same pixels, so it is kept as it is.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from ..transforms.compose import Compose
from .annotations import ImageFrame, RawObject
from .base import DetectionDataset
from .options import check_flag, check_reading_options
from .problems import DatasetError, Kind
from .reading import BAD_ANNOTATION, Parsed, Picture, Reading
from .text_files import UnusableFileError, as_categories, read_text
from .yolo_yaml import DataYaml

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


@dataclass(frozen=True)
class YoloPicture(Picture):
    """A picture, and where its lines would be."""

    label_file: Path


class YoloSegmentation(DetectionDataset):
    """One part of a YOLO segmentation set."""

    def __init__(
        self,
        data_yaml: str | os.PathLike[str],
        split: str = "train",
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        shuffle: bool = False,
        *,
        skip_invalid: bool = False,
    ) -> None:
        """Read and check the yaml, label files and image headers.

        Args:
            data_yaml: the data.yaml; category ids are its class numbers plus 1.
            split: which of its parts: a key of the yaml.
            num_workers: loader processes, or 'auto' for half the cores, at most eight.
            shuffle: whether training sees the images in random order.
            skip_invalid: leave out single bad annotations instead of stopping.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        check_reading_options("YoloSegmentation", transforms, num_workers, shuffle)
        check_flag("YoloSegmentation", "skip_invalid", skip_invalid)
        self.data_yaml = os.fspath(data_yaml)
        source = DataYaml(Path(data_yaml))
        reading = Reading(f"{self.data_yaml} ({split})", boxes_expected=False)
        pictures = _pictures(source, split, reading)
        classes = {number: k for k, number in enumerate(source.names)}
        records = reading.records(pictures, lambda picture: _parse(picture, classes))
        reading.finish(skip_invalid)
        super().__init__(
            name=f"{self.data_yaml} ({split})",
            categories=_categories(source),
            records=records,
            transforms=transforms,
            num_workers=num_workers,
            shuffle=shuffle,
        )


def _categories(source: DataYaml) -> list[dict]:
    categories = as_categories(list(source.names.values()))
    return [{**one, "id": k + 1} for one, k in zip(categories, source.names, strict=True)]


def _pictures(source: DataYaml, split: str, reading: Reading) -> list[YoloPicture]:
    paths = source.pictures(split, reading.problems)
    pictures = [
        YoloPicture(str(path), f"image {k} ({_short(path, source)!r})", k, label_file_of(path))
        for k, path in enumerate(paths, 1)
    ]
    if pictures and not any(picture.label_file.is_file() for picture in pictures):
        raise DatasetError(
            f"{source.path}: {split} has {len(pictures)} pictures but not one label file; the first "
            f"was looked for at {str(pictures[0].label_file)!r}"
        )
    return pictures


def label_file_of(picture: Path) -> Path:
    """Where the lines of a picture are: the last folder `images` in its path becomes `labels`."""
    parts = list(picture.with_suffix(".txt").parts)
    places = [k for k, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts)


def _short(path: Path, source: DataYaml) -> str:
    return os.path.relpath(path, source.root)


def _parse(picture: YoloPicture, classes: dict[int, int]) -> Parsed:
    parsed = Parsed()
    name = f"{picture.label_file.parent.name}/{picture.label_file.name}"
    try:
        lines = read_text(picture.label_file).splitlines()
    except UnusableFileError as error:
        if str(error) != "missing":
            parsed.problems.append((BAD_ANNOTATION, f"{name}: {error}"))
        return parsed
    outlines = []
    for number, line in enumerate(lines, 1):
        where = f"{name} line {number}"
        numbers = _numbers(line)
        problem = _problem(numbers, classes, where, line)
        if problem is not None:
            parsed.problems.append(problem)
        elif numbers:
            outlines.append((where, classes[int(numbers[0])], numbers[1:]))
    parsed.objects = lambda frame: [_raw_object(*one, frame) for one in outlines]
    return parsed


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
        return BAD_LINE, f"{where}: {line!r:.60}"
    if numbers[0] not in classes:
        return UNKNOWN_NUMBER, f"{where}: {numbers[0]:g}"
    if not all(-_FARTHEST <= number <= 1 + _FARTHEST for number in numbers[1:]):
        worst = max(numbers[1:], key=lambda one: abs(one) if math.isfinite(one) else math.inf)
        return NOT_FRACTIONS, f"{where}: {worst:g}"
    return None


def _raw_object(where: str, category: int, outline: list[float], frame: ImageFrame) -> RawObject:
    sides = (frame.width, frame.height)
    polygon = [round(number * sides[k % 2], _DIGITS) for k, number in enumerate(outline)]
    return RawObject(where, category, [polygon])
