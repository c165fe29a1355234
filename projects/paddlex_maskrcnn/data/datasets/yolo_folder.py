"""YOLO sets without a data.yaml: pictures, and label files beside them or in a folder of their own.

Darknet (LabelImg, CVAT's YOLO 1.1, Roboflow's Darknet) keeps `a.txt` beside `a.jpg`; Ultralytics and Label
Studio have trees `images` and `labels`. Parts are told by names of folders. Folders without a single label
file hold no pictures of the set: they may be previews or masks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config import yaml_io
from .files import (
    UnusableFileError,
    files_below,
    in_threads,
    is_picture,
    part_named,
    read_json,
    read_text,
)
from .problems import DatasetError
from .values import integer

NUMBERS_AS_NAMES = (
    "folder without class names (data.yaml, classes.txt, obj.names, notes.json), whose classes are called by "
    "their numbers"
)

# what tools write beside labels: LabelImg, Label Studio; CVAT; Roboflow
_NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt", "names.txt")
NOT_LABELS = (*_NAME_LISTS, "readme.txt", "readme.roboflow.txt", "readme.dataset.txt")
_LINES_LOOKED_AT = 20


@dataclass
class YoloFolder:
    """A folder that was looked through.

    Attributes:
        parts: train, val, test -> pictures in order of their names; without a name a part is train.
        label_files: picture -> its label file, of those that have one.
        names: what a data.yaml would say of them, a list or a mapping of numbers.
        repaired: what is worth a note, and where.
    """

    parts: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    label_files: dict[Path, Path] = field(default_factory=dict)
    names: Any = None
    repaired: list[tuple[str, str]] = field(default_factory=list)


def scan(folder: Path) -> YoloFolder:
    """The pictures, labels and class names of a folder.

    Raises:
        DatasetError: if there is no picture with a label file, or files name the classes differently.
    """
    files = list(files_below(folder))
    pictures = [path for path in files if is_picture(path.name)]
    texts = [path for path in files if is_label_name(path.name)]
    result = YoloFolder(label_files=_label_files(pictures, texts, folder))
    if not result.label_files:
        raise DatasetError(
            f"{str(folder)!r} has no data.yaml, and of its {len(pictures)} pictures{_first(pictures)} none "
            f"has one of the {len(texts)} txt files{_first(texts)}: a.jpg needs a.txt beside it, or "
            "images/a.jpg needs labels/a.txt"
        )
    labelled = {picture.parent for picture in result.label_files}
    for picture in pictures:
        if picture.parent in labelled:
            result.parts[part_named(picture.parent, folder) or "train"].append(picture)
    result.names = _names(files)
    if result.names is None:
        result.names = {k: str(k) for k in _numbers(list(result.label_files.values()))}
        result.repaired.append((NUMBERS_AS_NAMES, str(folder)))
    return result


def _first(paths: list[Path]) -> str:
    names = ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return f" ({names})" if names else ""


def is_label_name(name: str) -> bool:
    """Whether a file may have labels by its name."""
    return name.lower().endswith(".txt") and name.lower() not in NOT_LABELS


def has_labels(path: Path) -> bool:
    """Whether a file has lines of a class and four or more fractions, as boxes and outlines have them."""
    try:
        lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
        rows = [[float(word) for word in line] for line in lines[:_LINES_LOOKED_AT]]
    except (UnusableFileError, ValueError):
        return False
    return bool(rows) and all(
        len(row) >= 5 and row[0] >= 0 and row[0].is_integer() and all(abs(x) <= 2 for x in row[1:])
        for row in rows
    )


def label_file_of(picture: Path) -> Path:
    """Where Ultralytics has the lines of a picture: the last folder `images` in its path becomes `labels`."""
    parts = list(picture.with_suffix(".txt").parts)
    folders = [k for k, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return Path(*parts)


def _label_files(pictures: list[Path], texts: list[Path], folder: Path) -> dict[Path, Path]:
    """The label file of each picture: as Ultralytics has it, beside it, or else the only one called alike."""
    present = set(texts)
    result: dict[Path, Path] = {}
    for picture in pictures:
        for path in (label_file_of(picture), picture.with_suffix(".txt")):
            if path in present:
                result.setdefault(picture, path)
    by_name: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in [*(present - set(result.values())), *(set(pictures) - result.keys())]:
        by_name[path.stem, part_named(path.parent, folder)].append(path)
    for alike in by_name.values():
        first, *others = sorted(alike, key=lambda path: path in present)
        if len(others) == 1 and first not in present and others[0] in present:
            result[first] = others[0]
    return result


def _names(files: list[Path]) -> Any:
    """Class names of the files that have them; None without such a file."""
    readers: dict[str, Callable[[Path], Any]] = {"notes.json": _of_notes}
    readers |= dict.fromkeys(_NAME_LISTS, _of_lines)
    first: tuple[Path, Any] | None = None
    for path in files:
        reader = readers.get(path.name.lower())
        if path.suffix.lower() in (".yaml", ".yml"):
            reader = _of_yaml
        names = reader(path) if reader else None
        if names is None:
            continue
        if first and first[1] != names:
            raise DatasetError(
                f"{str(first[0])!r} and {str(path)!r} name the classes differently: delete one of them"
            )
        first = first or (path, names)
    return first[1] if first else None


def _of_lines(path: Path) -> list[str] | None:
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except UnusableFileError:
        return None
    return [line for line in lines if line] if not has_labels(path) else None


def _of_notes(path: Path) -> list[str] | None:
    """Label Studio's notes.json: the numbers are positions."""
    try:
        content = read_json(path)
        entries = sorted(content["categories"], key=lambda entry: entry["id"])
        return [str(entry["name"]) for entry in entries]
    except (UnusableFileError, KeyError, TypeError):
        return None


def _of_yaml(path: Path) -> list[str] | None:
    """Names of a yaml that says no parts."""
    try:
        content = yaml_io.load(read_text(path))
    except (UnusableFileError, yaml_io.YamlError):
        return None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=lambda key: integer(key) or 0)]
    return [str(name) for name in names] if isinstance(names, list) else None


def _numbers(paths: list[Path]) -> list[int]:
    """The class numbers of label files, from 0 to the largest."""
    largest = max(
        (number for numbers in in_threads(_numbers_in, paths) for number in numbers), default=0
    )
    return list(range(largest + 1))


def _numbers_in(path: Path) -> Iterator[int]:
    try:
        words = [line.split()[0] for line in read_text(path).splitlines() if line.strip()]
    except UnusableFileError:
        return iter(())
    return iter([int(word) for word in words if word.isdecimal() and len(word) < 6])
