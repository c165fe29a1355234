"""Sizes of many image files, read from their headers in parallel threads."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..images import image_size

_MAX_THREADS = 16


def read_sizes(
    paths: list[Path],
) -> tuple[list[tuple[int, int]], list[tuple[Path, str]]]:
    """Read (height, width) of each file as the loader will see it, EXIF orientation applied.

    Returns:
        the sizes, (0, 0) where a file failed, and the failures as (path, reason).
    """
    threads = min(_MAX_THREADS, 4 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        results = list(pool.map(_size_or_reason, paths))
    sizes = [(0, 0) if isinstance(result, str) else result for result in results]
    failures = [(p, r) for p, r in zip(paths, results, strict=True) if isinstance(r, str)]
    return sizes, failures


def _size_or_reason(path: Path) -> tuple[int, int] | str:
    try:
        return image_size(path)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
