"""Files of data sets: text or a reason why not, class lists, pictures of a folder, headers.

Reading never raises for what a user's file may be: a reason comes back (`UnusableFileError`, or a
text in place of a header), so that the readers can report all files at once.

Text is UTF-8, or has a byte order mark. Other encodings of East Asia cannot be told apart with certainty
(most bytes of Big5 are valid GB18030 too), so they are named with the command that converts them.

What systems and tools leave in folders (`is_junk`) is never data, in any format; files that a list or an
argument names are taken at their word, except macOS's companion files, whose content gives them away.
"""

import json
import os
import re
import shlex
import stat
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ..image_headers import Header, read_header
from ..images import IMAGE_SUFFIXES
from .problems import DatasetError
from .values import without_ignored

# names that folders and files of a part have in them
PARTS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_PART = re.compile(
    rf"(?<![a-z])({'|'.join(sorted(PARTS, key=len, reverse=True))})(?:set)?(?![a-z])"
)

_MAX_THREADS = 16
_CHUNK = 64
_PATIENCE = 1e-3  # seconds for one item, on average
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z][\w.-]*)["']""")
_WITH_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_JUNK_NAMES = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found"} | {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "system volume information",
}  # fmt: skip
# AppleDouble: macOS keeps resource forks in ._NAME beside NAME on disks that have no room for them
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
_COMPANION = "a companion file (._NAME) that macOS left beside the real one: delete it"
# Python's name of an encoding -> what users call it
_EASTERN = {
    "gb18030": "GB18030 (GBK)", "big5": "Big5", "cp932": "CP932 (Shift-JIS)", "euc_kr": "EUC-KR",
}  # fmt: skip
_WESTERN = {"cp1252": "CP1252"}  # in which nearly all bytes are valid

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnusableFileError("missing") from error
    except OSError as error:
        raise UnusableFileError(f"cannot be read: {error.strerror or error}") from error
    if data.startswith(_APPLE_DOUBLE):
        raise UnusableFileError(_COMPANION)
    return data


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        UnusableFileError: if it cannot be read, or is neither UTF-8 nor marked as UTF-16 or UTF-32.
    """
    return text_of(read_bytes(path), path.name)


def text_of(data: bytes, name: str) -> str:
    """What `read_text` makes of the content of a file.

    Args:
        name: of the file, for the command that converts it.

    Raises:
        UnusableFileError: if it is neither UTF-8 nor marked as UTF-16 or UTF-32.
    """
    # by the mark, or by the zeros that the first characters of UTF-16 and UTF-32 have
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8"):
            raise UnusableFileError(f"damaged {encoding.upper()} text, or no text") from error
        raise UnusableFileError(_other_encoding(data, name)) from error


def _other_encoding(data: bytes, name: str) -> str:
    """Why it is not UTF-8, and which encodings its bytes are valid in."""
    fitting = {code: name for code, name in _EASTERN.items() if decodes(data, code)}
    fitting = fitting or {code: name for code, name in _WESTERN.items() if decodes(data, code)}
    if not fitting:
        return "not UTF-8 text: save it as UTF-8"
    names = " or ".join(fitting.values())
    code = next(iter(fitting)).upper().replace("_", "-")
    return (
        f"not UTF-8 text; its bytes are valid in {names}: save it as UTF-8, such as with "
        f"iconv -f {code} -t UTF-8 {shlex.quote(name)}"
    )


def decodes(data: bytes, encoding: str) -> bool:
    """Whether the bytes are valid in an encoding."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def read_json(path: Path) -> Any:
    """The content of a json file.

    Raises:
        UnusableFileError: if it cannot be read or is not json.
    """
    try:
        return json.loads(read_text(path))
    except UnusableFileError:
        raise
    except (ValueError, RecursionError) as error:  # deeply nested brackets exhaust the stack
        raise UnusableFileError(f"not json: {error}") from error


def read_xml(path: Path) -> ET.Element:
    """The first element of an xml, in any encoding that it declares.

    Raises:
        UnusableFileError: if it cannot be read or is not xml.
    """
    data = read_bytes(path)
    try:
        return ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError, RecursionError):
        return _decoded_xml(data, path.name)


def _decoded_xml(data: bytes, name: str) -> ET.Element:
    """What expat cannot read from bytes: encodings of several bytes (GBK, Big5), and why it is not xml."""
    declared = _ENCODING.match(data)
    code = declared[1].decode("ascii") if declared else "utf-8"
    try:
        text = data.decode(code) if "utf" not in code.lower() else text_of(data, name)
        return ET.fromstring(text)
    except UnusableFileError:
        raise
    except UnicodeDecodeError as error:
        raise UnusableFileError(f"not {code} text, which it says it is") from error
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise UnusableFileError(f"not xml: {error}") from error


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


def read_labels(label_list: str | Sequence[str]) -> list[str]:
    """Class names, of a file with one a line or of a list.

    LabelMe's own files begin with `__ignore__` and `_background_`, which are no classes.

    Raises:
        DatasetError: if there are none, or one stands twice.
    """
    if isinstance(label_list, str):
        source = f"label_list {label_list!r}"
        names = [line for _, line in read_lines(Path(label_list), "label_list")]
    else:
        source, names = "label_list", list(label_list)
    names = without_ignored(names)
    if "" in names:
        raise DatasetError(f"{source}: '' is no class name")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DatasetError(f"{source}: classes given twice: {', '.join(twice[:10])}")
    if not names:
        raise DatasetError(f"{source} names no class")
    return names


def leaves_folder(name: str) -> bool:
    """Whether a file name may not be followed: absolute, upwards out of the folder, or no name.

    Absolute is also what Windows takes for it: another computer wrote the file.
    """
    is_absolute = os.path.isabs(name) or _WITH_DRIVE.match(name) is not None
    return is_absolute or os.path.normpath(name).split(os.sep)[0] == ".." or "\0" in name


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is no data: hidden, or left by a system or tool.

    `.ipynb_checkpoints`, `.thumbnails`, `._NAME`, `__MACOSX`, `@eaDir` (Synology), `Thumbs.db`, ...
    """
    return name.startswith(".") or name.lower() in _JUNK_NAMES


def is_picture(name: str) -> bool:
    """Whether the name ends like that of a picture."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def part_named(path: Path, root: Path) -> str:
    """train, val or test where the name of a path, or of a folder below root that it is in, says so.

    The nearest name counts, and of a name the last word. Empty where no name says anything.
    """
    for name in reversed(path.relative_to(root).parts):
        words = _PART.findall(name.lower())
        if words:
            return PARTS[words[-1]]
    return ""


def pictures_in(folder: Path) -> list[Path]:
    """The pictures right in a folder, by name, without junk."""
    paths = (path for path in folder.iterdir() if not is_junk(path.name))
    return sorted(path for path in paths if is_picture(path.name))


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder and the folders in it, by name; linked folders are entered once.

    Junk is passed over, though the folder itself may be called as it likes.
    """
    seen: set[tuple[int, int]] = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        state = os.stat(where)
        is_new = (state.st_dev, state.st_ino) not in seen
        folders[:] = sorted(name for name in folders if is_new and not is_junk(name))
        if is_new:
            seen.add((state.st_dev, state.st_ino))
            yield from (Path(where, name) for name in sorted(files) if not is_junk(name))


def read_headers(paths: Sequence[str | Path]) -> list[Header | str]:
    """The header of each file, or why there is none ('missing' when there is no such file)."""
    return in_threads(_header_or_reason, paths)


def _header_or_reason(path: str | Path) -> Header | str:
    try:
        return read_header(path)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as error:
        if _is_companion(path):
            return _COMPANION
        return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_companion(path: str | Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and _starts_with(path, _APPLE_DOUBLE)
    except (OSError, ValueError):  # no file has such a name
        return False


def _starts_with(path: str | Path, magic: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`function` of each item, in order, several at a time once it has to wait for the disk.

    Files that the system has in memory are read faster by one thread: several hand Python's lock
    to and fro, which took three times as long.
    """
    results: list[Result] = []
    chunks = [items[first : first + _CHUNK] for first in range(0, len(items), _CHUNK)]
    for number, chunk in enumerate(chunks, 1):
        start = time.perf_counter()
        results += [function(item) for item in chunk]
        if time.perf_counter() - start > _PATIENCE * len(chunk):
            return results + _side_by_side(function, chunks[number:])
    return results


def _side_by_side(
    function: Callable[[Item], Result], chunks: Sequence[Sequence[Item]]
) -> list[Result]:
    # more threads than cores: they wait for the disk, not for the processor
    threads = min(_MAX_THREADS, 4 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        done = pool.map(lambda chunk: [function(item) for item in chunk], chunks)
        return [result for chunk in done for result in chunk]
