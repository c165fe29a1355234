"""The data.yaml of a YOLO set: its classes, and the pictures of its parts.

It is read as Ultralytics' `check_det_dataset` does: `path` is the root (here relative to the file itself,
then to the working folder), `train`, `val` and `test` are folders, txt lists, or several of them. Where these
lead to nothing, as `../train/images` of Roboflow's exports and absolute paths of another computer, what lies
beside the file under the end of such a path is meant, which is counted as repaired.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...config import yaml_io
from ...config.check import short_repr
from .file_names import FOUND_BY_NAME, FileFinder
from .files import UnusableFileError, files_below, is_picture, leaves_folder, read_lines, read_text
from .problems import DatasetError, Problems
from .reading import OUTSIDE_FILE
from .values import IGNORED_LABEL, NO_CLASSES, WRITTEN_OTHERWISE, integer, is_integer, shown
from .yolo_folder import scan

logger = logging.getLogger(__name__)

PARTS = ("train", "val", "test")
_MOST_PARTS = 64  # of a path that is looked for


FOLDER_ELSEWHERE = (
    "path of data.yaml that leads to nothing, matched with the end of it that is there"
)


class DataYaml:
    """A data.yaml that was read, or a folder without one.

    Attributes:
        path: the file, or the folder.
        folder: that the file is in, absolute.
        root: the folder its parts start from, absolute.
        lines: all that it says.
        names: class number as label files have it -> name, in order of the numbers.
        no_classes: numbers of `__ignore__` and `_background_`.
        finder: of files below the root.
        guessed: pictures of lists that are called otherwise than these say.
        label_files: picture -> its label file, of a folder without a data.yaml.
        repaired: what was set right, and where.
    """

    def __init__(self, path: Path) -> None:
        """Parse and check.

        Raises:
            DatasetError: if it is not a data.yaml.
        """
        if path.is_dir():
            path = _yaml_in(path) or path
        self.path = path
        self.repaired: list[tuple[str, str]] = []
        self.label_files: dict[Path, Path] = {}
        self._parts: dict[str, list[Path]] = {}
        if path.is_dir():
            self.folder = path.absolute()
            scanned = scan(self.folder)
            self._parts, self.label_files = dict(scanned.parts), scanned.label_files
            self.repaired += scanned.repaired
            self.lines = {part: str(path) for part in scanned.parts} | {"names": scanned.names}
        else:
            self.folder = path.absolute().parent
            self.lines = _parse_yaml(path)
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
        if split in self._parts:
            return self._parts[split]
        entries = self.lines.get(split)
        if isinstance(entries, str):
            entries = [entries]
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            parts = [key for key in PARTS if self.lines.get(key)]
            raise DatasetError(
                f"{self.path}: {split!r} must be a folder, a list file, or a list of them, "
                f"got {short_repr(entries, 80)} (it has {', '.join(parts) or 'no part at all'})"
            )
        pictures = [path for entry in entries for path in self._pictures_of(entry, split, problems)]
        if not pictures and not problems.occurrences:
            raise DatasetError(f"{self.path}: no pictures in {split}: {', '.join(entries)}")
        return pictures

    def has_pictures(self, split: str) -> bool:
        """Whether a part has pictures; a path that leads to nothing is no error here."""
        try:
            return bool(self.pictures(split, Problems("")))
        except DatasetError:
            return False

    def _pictures_of(self, entry: str, split: str, problems: Problems) -> Iterator[Path]:
        path = self._existing(entry, split, problems)
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
            is_inside = "\0" not in name and not leaves_folder(os.path.relpath(picture, self.root))
            if is_inside and os.path.exists(picture):
                yield picture
            elif match := self.finder.find(name):
                self.guessed.add(Path(match))
                problems.repair(FOUND_BY_NAME, where)
                yield Path(match)
            elif is_inside:
                yield picture
            else:
                problems.add(OUTSIDE_FILE, where + self.finder.hint(name))

    def _existing(self, entry: str, split: str, problems: Problems) -> Path:
        entry = entry.replace("\\", "/")
        if "\0" not in entry and os.path.exists(self.root / entry):
            return Path(os.path.normpath(self.root / entry))
        path = _end_of(entry, (self.root, self.folder))
        if path is None:
            tried = repr(str(self.root / entry))
            raise DatasetError(
                f"{self.path}: {split}: there is no {tried}, nor an end of this path in {str(self.folder)!r}"
            )
        where = f"{split}: {entry!r} is {os.path.relpath(path, self.folder)!r}"
        problems.repair(FOLDER_ELSEWHERE, where)
        return path

    def _root(self) -> Path:
        folder = self.folder
        said = self.lines.get("path")
        if said is None or said == "":
            return folder
        if not isinstance(said, str) or "\0" in said:
            raise DatasetError(f"{self.path}: 'path' must be a folder, got {short_repr(said, 80)}")
        tried = [folder / said, Path(said).absolute()]
        existing = [root for root in tried if os.path.isdir(root)]
        for root in [*existing, folder]:
            if any(os.path.exists(root / part) for part in self._entries()):
                if root == folder and folder.resolve() not in [each.resolve() for each in existing]:
                    self.repaired.append((FOLDER_ELSEWHERE, f"path: {said!r} is {str(folder)!r}"))
                return Path(os.path.normpath(root))
        if existing:
            return Path(os.path.normpath(existing[0]))
        if any(_end_of(entry, (folder,)) for entry in self._entries()):
            self.repaired.append((FOLDER_ELSEWHERE, f"path: {said!r} is {str(folder)!r}"))
            return folder
        listed = " nor ".join(repr(str(path)) for path in tried)
        raise DatasetError(
            f"{self.path}: 'path' is {short_repr(said)}, but there is no folder {listed}"
        )

    def _entries(self) -> list[str]:
        """All folders and lists that the file names."""
        parts = [self.lines.get(key) for key in PARTS]
        entries = [
            entry for part in parts for entry in (part if isinstance(part, list) else [part])
        ]
        return [entry for entry in entries if isinstance(entry, str) and "\0" not in entry]


def _yaml_in(folder: Path) -> Path | None:
    """The yaml right in a folder that says the parts of a set."""
    for path in sorted(folder.glob("*.y*ml")):
        try:
            lines = _parse_yaml(path)
        except DatasetError:
            continue
        if any(lines.get(part) for part in PARTS):
            return path
    return None


def _end_of(entry: str, folders: Sequence[Path]) -> Path | None:
    """What is there under the longest end of a path, from one of the folders."""
    parts = [part for part in entry.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if "\0" in entry or len(parts) > _MOST_PARTS:
        return None
    for first in range(len(parts)):
        for folder in dict.fromkeys(folders):
            path = folder.joinpath(*parts[first:])
            if os.path.exists(path):
                return Path(os.path.normpath(path))
    return None


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
