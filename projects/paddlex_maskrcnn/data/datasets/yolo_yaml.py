"""The `data.yaml` of a YOLO data set: class names, and the pictures of its parts.

As Ultralytics' `check_det_dataset` reads it: `path` is the root (here relative to the file itself,
then to the working folder), `train`, `val` and `test` are folders, txt lists, or several of them,
and `../train/images` that does not exist means `train/images`, which is what Roboflow writes.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from .files import files_below, is_picture
from .problems import DatasetError, Problems
from .reading import OUTSIDE_FILE, leaves_folder
from .text_files import UnusableFileError, read_lines, read_text

logger = logging.getLogger(__name__)


class DataYaml:
    """A data.yaml that was read.

    Attributes:
        path: the file.
        root: the folder its parts start from, absolute.
        names: class number as label files have it -> name, in order of the numbers.
    """

    def __init__(self, path: Path) -> None:
        """Parse and check.

        Raises:
            DatasetError: if it is not a data.yaml.
        """
        self.path = path
        self._content = _parse(path)
        self.names = _names(self._content, path)
        self.root = self._root()

    def pictures(self, split: str, problems: Problems) -> list[Path]:
        """The pictures of a part, in order; lines of lists that cannot be used are noted.

        Raises:
            DatasetError: if there is no such part, or nothing in it.
        """
        entries = self._content.get(split)
        if isinstance(entries, str):
            entries = [entries]
        if not isinstance(entries, list) or not all(isinstance(one, str) for one in entries):
            parts = [key for key in ("train", "val", "test") if self._content.get(key)]
            raise DatasetError(
                f"{self.path}: {split!r} must be a folder, a list file, or a list of them, "
                f"got {entries!r:.80} (it has {', '.join(parts) or 'no part at all'})"
            )
        found = [path for one in entries for path in self._pictures_of(one, split, problems)]
        if not found and not problems.found:
            raise DatasetError(f"{self.path}: no pictures in {split}: {', '.join(entries)}")
        return found

    def _pictures_of(self, entry: str, split: str, problems: Problems) -> Iterator[Path]:
        path = self._existing(entry, split)
        if leaves_folder(os.path.relpath(path, self.root)):
            logger.warning("%s: %s leads out of %s: %s", self.path, split, self.root, path)
        if path.is_dir():
            yield from (one for one in files_below(path) if is_picture(one.name))
            return
        for number, line in read_lines(path, f"{self.path}: {split}"):
            name = line.replace("\\", "/")
            picture = Path(os.path.normpath(path.parent / name))
            if not name.startswith("./") and not picture.exists():
                picture = Path(os.path.normpath(self.root / name))
            if "\0" in name or leaves_folder(os.path.relpath(picture, self.root)):
                problems.add(OUTSIDE_FILE, f"{path.name} line {number}: {line!r}")
            else:
                yield picture

    def _existing(self, entry: str, split: str) -> Path:
        entry = entry.replace("\\", "/")
        tried = [self.root / entry]
        if entry.startswith("../"):
            tried.append(self.root / entry[3:])
        for path in tried:
            if "\0" not in entry and path.exists():
                return Path(os.path.normpath(path))
        listed = " nor ".join(repr(str(path)) for path in tried)
        raise DatasetError(f"{self.path}: {split}: there is no {listed}")

    def _root(self) -> Path:
        folder = self.path.absolute().parent
        said = self._content.get("path")
        if said is None or said == "":
            return folder
        if not isinstance(said, str) or "\0" in said:
            raise DatasetError(f"{self.path}: 'path' must be a folder, got {said!r:.80}")
        tried = [folder / said, Path(said).absolute()]
        there = [root for root in tried if root.is_dir()]
        for root in [*there, folder]:
            if any((root / part).exists() for part in self._parts()):
                return Path(os.path.normpath(root))
        if there:
            return Path(os.path.normpath(there[0]))
        listed = " nor ".join(repr(str(path)) for path in tried)
        raise DatasetError(f"{self.path}: 'path' is {said!r}, but there is no folder {listed}")

    def _parts(self) -> list[str]:
        """All folders and lists that the file names."""
        found = [self._content.get(key) for key in ("train", "val", "test")]
        entries = [one for part in found for one in (part if isinstance(part, list) else [part])]
        return [one for one in entries if isinstance(one, str) and "\0" not in one]


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(read_text(path))
    except UnusableFileError as error:
        raise DatasetError(f"data_yaml {str(path)!r}: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict) or "names" not in content:
        raise DatasetError(f"{path} is not a YOLO data set's yaml: it has no 'names'")
    return content


def _names(content: dict[str, Any], path: Path) -> dict[int, str]:
    given = content["names"]
    if isinstance(given, dict):
        pairs: Sequence[tuple[Any, Any]] = list(given.items())
    elif isinstance(given, list):
        pairs = list(enumerate(given))
    else:
        raise DatasetError(f"{path}: 'names' must be a list or a mapping, got {given!r:.80}")
    names: dict[int, str] = {}
    for number, name in pairs:
        if not isinstance(number, int) or number < 0 or not isinstance(name, str | int | float):
            raise DatasetError(f"{path}: 'names': {number!r:.40}: {name!r:.40} is no class")
        names[number] = str(name)
    if not names or len(set(names.values())) < len(names):
        raise DatasetError(f"{path}: 'names' must name classes, each once, got {given!r:.200}")
    count = content.get("nc")
    if isinstance(count, int) and count != len(names):
        raise DatasetError(f"{path}: 'nc' is {count}, but 'names' has {len(names)} classes")
    return dict(sorted(names.items()))
