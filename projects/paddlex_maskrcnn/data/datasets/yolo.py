"""YOLO segmentation sets: a data.yaml, and a txt an image with one outline a line.

A line is `class x1 y1 x2 y2 x3 y3 ...`, fractions of the width and height of the upright image
(Ultralytics, docs/datasets/segment). A picture `.../images/NAME.jpg` has its lines in
`.../labels/NAME.txt`, and no objects where there is no such file.

Holes and several parts are written as one outline that runs along bridges of no width (Ultralytics'
`merge_multi_segment`); drawn, that outline gives the same pixels, so it stays as it is.

The data.yaml is read as Ultralytics' `check_det_dataset` does: `path` is the root (here relative to the
file itself, then to the working folder), `train`, `val` and `test` are folders, txt lists, or several of
them, and `../train/images` that does not exist means `train/images`, which is what Roboflow writes.
Category ids are its class numbers plus 1.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config import signatures, yaml_io
from ...config.check import short_repr
from ...config.dataset_params import YoloSegmentationParams
from ...config.signature import takes_params
from ..images import IMAGE_SUFFIXES
from .annotations import ImageFrame, RawAnnotation
from .base import Content, DetectionDataset, as_categories
from .file_names import FOUND_BY_NAME, FileFinder
from .files import UnusableFileError, files_below, is_picture, leaves_folder, read_lines, read_text
from .problems import DatasetError, Kind, Problems
from .reading import BAD_ANNOTATION, OUTSIDE_FILE, Parsed, Picture, Reading
from .values import IGNORED_LABEL, NO_CLASSES, WRITTEN_OTHERWISE, integer, is_integer, shown

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
_NO_LABEL_FILES = ("classes.txt", "labels.txt", "README.txt")  # LabelImg writes the first
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
        reading = Reading(name, boxes_expected=False, finder=source.finder)
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
        return Content(name, _categories(source), records)


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
            _label_file_of(path),
            is_guessed=path in source.guessed,
        )
        for k, path in enumerate(paths, 1)
    ]
    if pictures and not any(_has_lines(picture, source) for picture in pictures):
        raise DatasetError(
            f"{source.path}: {split} has {len(pictures)} pictures but not one label file; the first "
            f"was looked for at {str(pictures[0].label_file)!r}"
        )
    _warn_of_lines_without_picture(source, split, pictures)
    return pictures


def _has_lines(picture: YoloPicture, source: DataYaml) -> bool:
    path = picture.label_file
    return path.is_file() or source.finder.spelt(os.path.relpath(path, source.root)) is not None


def _label_file_of(picture: Path) -> Path:
    """Where the lines of a picture are: the last folder `images` in its path becomes `labels`."""
    parts = list(picture.with_suffix(".txt").parts)
    folders = [k for k, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return Path(*parts)


def _warn_of_lines_without_picture(
    source: DataYaml, split: str, pictures: Sequence[YoloPicture]
) -> None:
    """Where pictures have no label file, those that have no picture may be theirs, misnamed."""
    expected = {str(picture.label_file) for picture in pictures}
    present = _files_of({os.path.dirname(path) for path in expected}, ".txt")
    if expected <= present:
        return
    files = _files_of({os.path.dirname(picture.path) for picture in pictures}, *IMAGE_SUFFIXES)
    of_pictures = {str(_label_file_of(Path(path))).casefold() for path in files}
    lonely = [
        path
        for path in sorted(present - expected)
        if path.casefold() not in of_pictures and os.path.basename(path) not in _NO_LABEL_FILES
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


class DataYaml:
    """A data.yaml that was read.

    Attributes:
        path: the file.
        root: the folder its parts start from, absolute.
        lines: all that it says.
        names: class number as label files have it -> name, in order of the numbers.
        no_classes: numbers of `__ignore__` and `_background_`.
        finder: of files below the root.
        guessed: pictures of lists that are called otherwise than these say.
        repaired: what was set right, and where.
    """

    def __init__(self, path: Path) -> None:
        """Parse and check.

        Raises:
            DatasetError: if it is not a data.yaml.
        """
        self.path = path
        self.lines = _parse_yaml(path)
        self.repaired: list[tuple[str, str]] = []
        names = _names(self.lines, path, self.repaired)
        self.no_classes = {number for number, name in names.items() if name in NO_CLASSES}
        self.names = {k: name for k, name in names.items() if k not in self.no_classes}
        if not self.names:
            raise DatasetError(f"{path}: 'names' names no class")
        self.repaired += [(IGNORED_LABEL, f"names: {k}") for k in sorted(self.no_classes)]
        self.root = self._root()
        self.finder = FileFinder(self.root)
        self.guessed: set[Path] = set()

    def pictures(self, split: str, problems: Problems) -> list[Path]:
        """The pictures of a part, in order; lines of lists that cannot be used are noted.

        Raises:
            DatasetError: if there is no such part, or nothing in it.
        """
        entries = self.lines.get(split)
        if isinstance(entries, str):
            entries = [entries]
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            parts = [key for key in ("train", "val", "test") if self.lines.get(key)]
            raise DatasetError(
                f"{self.path}: {split!r} must be a folder, a list file, or a list of them, "
                f"got {short_repr(entries, 80)} (it has {', '.join(parts) or 'no part at all'})"
            )
        pictures = [path for entry in entries for path in self._pictures_of(entry, split, problems)]
        if not pictures and not problems.occurrences:
            raise DatasetError(f"{self.path}: no pictures in {split}: {', '.join(entries)}")
        return pictures

    def _pictures_of(self, entry: str, split: str, problems: Problems) -> Iterator[Path]:
        path = self._existing(entry, split)
        if leaves_folder(os.path.relpath(path, self.root)):
            logger.warning("%s: %s leads out of %s: %s", self.path, split, self.root, path)
        if path.is_dir():
            yield from (file for file in files_below(path) if is_picture(file.name))
            return
        for number, line in read_lines(path, f"{self.path}: {split}"):
            name = line.replace("\\", "/")
            picture = Path(os.path.normpath(path.parent / name))
            if not name.startswith("./") and not os.path.exists(picture):
                picture = Path(os.path.normpath(self.root / name))
            where = f"{path.name} line {number}: {line!r}"
            if "\0" not in name and not leaves_folder(os.path.relpath(picture, self.root)):
                yield picture
            elif match := self.finder.find(name):
                self.guessed.add(Path(match))
                problems.repair(FOUND_BY_NAME, where)
                yield Path(match)
            else:
                problems.add(OUTSIDE_FILE, where + self.finder.hint(name))

    def _existing(self, entry: str, split: str) -> Path:
        entry = entry.replace("\\", "/")
        tried = [self.root / entry]
        if entry.startswith("../"):
            tried.append(self.root / entry[3:])
        for path in tried:
            if "\0" not in entry and os.path.exists(path):
                return Path(os.path.normpath(path))
        listed = " nor ".join(repr(str(path)) for path in tried)
        raise DatasetError(f"{self.path}: {split}: there is no {listed}")

    def _root(self) -> Path:
        folder = self.path.absolute().parent
        said = self.lines.get("path")
        if said is None or said == "":
            return folder
        if not isinstance(said, str) or "\0" in said:
            raise DatasetError(f"{self.path}: 'path' must be a folder, got {short_repr(said, 80)}")
        tried = [folder / said, Path(said).absolute()]
        existing = [root for root in tried if os.path.isdir(root)]
        for root in [*existing, folder]:
            if any(os.path.exists(root / part) for part in self._parts()):
                return Path(os.path.normpath(root))
        if existing:
            return Path(os.path.normpath(existing[0]))
        listed = " nor ".join(repr(str(path)) for path in tried)
        raise DatasetError(
            f"{self.path}: 'path' is {short_repr(said)}, but there is no folder {listed}"
        )

    def _parts(self) -> list[str]:
        """All folders and lists that the file names."""
        parts = [self.lines.get(key) for key in ("train", "val", "test")]
        entries = [
            entry for part in parts for entry in (part if isinstance(part, list) else [part])
        ]
        return [entry for entry in entries if isinstance(entry, str) and "\0" not in entry]


def _parse_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml_io.load(read_text(path))
    except UnusableFileError as error:
        raise DatasetError(f"data_yaml {str(path)!r}: {error}") from error
    except yaml_io.YamlError as error:
        raise DatasetError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict) or "names" not in content:
        raise DatasetError(f"{path} is not a YOLO data set's yaml: it has no 'names'")
    return content


def _names(content: dict[str, Any], path: Path, repaired: list[tuple[str, str]]) -> dict[int, str]:
    given = content["names"]
    if isinstance(given, dict):
        pairs: Sequence[tuple[Any, Any]] = list(given.items())
    elif isinstance(given, list):
        pairs = list(enumerate(given))
    else:
        raise DatasetError(
            f"{path}: 'names' must be a list or a mapping, got {short_repr(given, 80)}"
        )
    names: dict[int, str] = {}
    for key, name in pairs:
        number = integer(key)
        if isinstance(name, bool):  # YAML's yes, no, on, off, which nobody can tell apart again
            raise DatasetError(
                f"{path}: 'names': {short_repr(key, 40)} is {shown(name)}: put it in quotes"
            )
        if number is None or number < 0 or not isinstance(name, str | int | float):
            raise DatasetError(
                f"{path}: 'names': {short_repr(key, 40)}: {short_repr(name, 40)} is no class"
            )
        if number in names:
            raise DatasetError(f"{path}: 'names': {number} is given twice")
        if not is_integer(key):
            repaired.append((WRITTEN_OTHERWISE, f"names: {key!r}"))
        names[number] = str(name)
    if not names or len(set(names.values())) < len(names):
        raise DatasetError(
            f"{path}: 'names' must name classes, each once, got {short_repr(given, 200)}"
        )
    _check_count(content.get("nc"), names, path, repaired)
    return dict(sorted(names.items()))


def _check_count(
    given: Any, names: dict[int, str], path: Path, repaired: list[tuple[str, str]]
) -> None:
    if given is None:
        return
    count = integer(given)
    if count is None:
        raise DatasetError(f"{path}: 'nc' is {shown(given)}, the number of classes is needed")
    if count != len(names):
        raise DatasetError(f"{path}: 'nc' is {count}, but 'names' has {len(names)} classes")
    if not is_integer(given):
        repaired.append((WRITTEN_OTHERWISE, f"nc: {given!r}"))
