"""Text files of data sets: UTF-8 or a reason why not; json, class lists, lists of images."""

import json
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .problems import DatasetError, Kind, Problems

BAD_LINE = Kind(
    "line that is not 'image annotation'",
    "each line names an image and its annotation file, relative to data_dir, with a space between "
    "(a tab where names have spaces in them)",
)


class UnusableFileError(ValueError):
    """Why a file cannot be used; its name is for the caller to say."""


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        UnusableFileError: if it cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a named pipe would be waited for without end
            raise UnusableFileError("not a file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UnusableFileError("missing") from error
    except OSError as error:
        raise UnusableFileError(f"cannot be read: {error.strerror or error}") from error


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        UnusableFileError: if it cannot be read or is not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableFileError("not UTF-8 text: save it as UTF-8") from error


def read_json(path: Path) -> Any:
    """The content of a json file.

    Raises:
        UnusableFileError: if it cannot be read or is not json.
    """
    try:
        return json.loads(read_text(path))
    except UnusableFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnusableFileError(f"not json: {error}") from error


def read_lines(path: Path, argument: str) -> list[tuple[int, str]]:
    """Number and text of the lines that are not blank.

    Args:
        argument: what the user gave the file as.

    Raises:
        DatasetError: if the file cannot be read or has no line.
    """
    try:
        text = read_text(path)
    except UnusableFileError as error:
        raise DatasetError(f"{argument} {str(path)!r}: {error}") from error
    lines = [(k, line.strip()) for k, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise DatasetError(f"{argument} {str(path)!r} is empty")
    return lines


def read_labels(label_list: str | os.PathLike[str] | Sequence[str]) -> list[str]:
    """Class names, of a file with one a line or of a list.

    LabelMe's own files begin with `__ignore__` and `_background_`, which are no classes.

    Raises:
        DatasetError: if there are none, or one stands twice.
    """
    if isinstance(label_list, str | os.PathLike):
        named = f"label_list {os.fspath(label_list)!r}"
        names = [line for _, line in read_lines(Path(label_list), "label_list")]
        names = [name for name in names if name not in ("__ignore__", "_background_")]
    else:
        named, names = "label_list", list(label_list)
    for name in names:
        if not isinstance(name, str) or not name:
            raise DatasetError(f"{named}: {name!r} is no class name")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DatasetError(f"{named}: classes given twice: {', '.join(twice[:10])}")
    if not names:
        raise DatasetError(f"{named} names no class")
    return names


def as_categories(labels: Sequence[str]) -> list[dict[str, Any]]:
    """COCO categories of class names, numbered from 1 as PaddleX does."""
    return [{"id": k, "name": name, "supercategory": name} for k, name in enumerate(labels, 1)]


@dataclass(frozen=True)
class ListedFiles:
    """A line of a list of images.

    Attributes:
        names: the files of the line, as written but with forward slashes; one or more.
        where: file and line.
    """

    names: tuple[str, ...]
    where: str


def read_file_list(
    file_list: str | os.PathLike[str], problems: Problems, columns: tuple[int, ...]
) -> list[ListedFiles]:
    """The lines of a list of images; lines with another number of columns are noted.

    Raises:
        DatasetError: if the list cannot be read or is empty.
    """
    listed = []
    for number, line in read_lines(Path(file_list), "file_list"):
        names = [name.strip() for name in line.split("\t")] if "\t" in line else line.split()
        where = f"{os.path.basename(file_list)} line {number}"
        if len(names) not in columns or "" in names:
            problems.add(BAD_LINE, f"{where}: {line!r:.80}")
        else:
            listed.append(ListedFiles(tuple(name.replace("\\", "/") for name in names), where))
    return listed
