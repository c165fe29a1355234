"""Many image files at once: their headers, read in parallel threads, and those of a folder."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ..image_headers import Header, read_header
from ..images import IMAGE_SUFFIXES

_MAX_THREADS = 16
_CHUNK = 64
_PATIENCE = 1e-3  # seconds for one item, on average

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_headers(paths: Sequence[str | Path]) -> list[Header | str]:
    """The header of each file, or why there is none ('missing' when there is no such file)."""
    return in_threads(_header_or_reason, paths)


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`function` of each item, in order, several at a time once it has to wait for the disk.

    Files that the system has in memory are read faster by one thread: several hand Python's lock
    to and fro, which took three times as long.
    """
    results: list[Result] = []
    chunks = [items[first : first + _CHUNK] for first in range(0, len(items), _CHUNK)]
    for place, chunk in enumerate(chunks):
        start = time.perf_counter()
        results += [function(item) for item in chunk]
        if time.perf_counter() - start > _PATIENCE * len(chunk):
            return results + _side_by_side(function, chunks[place + 1 :])
    return results


def _side_by_side(
    function: Callable[[Item], Result], chunks: Sequence[Sequence[Item]]
) -> list[Result]:
    threads = min(_MAX_THREADS, 4 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        done = pool.map(lambda chunk: [function(item) for item in chunk], chunks)
        return [result for chunk in done for result in chunk]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures right in a folder, by name."""
    return sorted(path for path in folder.iterdir() if is_picture(path.name))


def is_picture(name: str) -> bool:
    """Whether the name ends like that of a picture."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder and the folders in it, by name; linked folders are entered once."""
    seen: set[tuple[int, int]] = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        state = os.stat(where)
        folders[:] = [] if (state.st_dev, state.st_ino) in seen else sorted(folders)
        if (state.st_dev, state.st_ino) not in seen:
            seen.add((state.st_dev, state.st_ino))
            yield from (Path(where, name) for name in sorted(files))


def _header_or_reason(path: str | Path) -> Header | str:
    try:
        return read_header(path)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
