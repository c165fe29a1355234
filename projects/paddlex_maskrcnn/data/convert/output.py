"""Where a written data set goes: never over anything, all of it or nothing."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..datasets.problems import DatasetError


@contextmanager
def fresh_folder(target: Path, force: bool) -> Iterator[Path]:
    """An empty folder to write into, put in place when the block ends without an error.

    Args:
        force: write into a folder that has something in it; files of the same names are replaced,
            others stay.

    Raises:
        DatasetError: if the target is in the way, or cannot be written.
    """
    if target.exists() and not target.is_dir():
        raise DatasetError(f"{str(target)!r} is a file; name a folder to write into")
    if not force and target.is_dir() and any(target.iterdir()):
        raise DatasetError(
            f"{str(target)!r} is not empty; name another folder, or say --force to replace files of "
            f"the same names"
        )
    parents = (target.parent, *target.parent.parents)
    made = [parent for parent in parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise DatasetError(f"cannot write to {str(target.parent)!r}: {error.strerror}") from error
    try:
        yield fresh
        fresh.chmod(0o755)
        _move_into(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        with contextlib.suppress(OSError):  # the first that has something in it
            for parent in made:
                parent.rmdir()


def keep_apart(out: Path, originals: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse to write where what was read is: originals are never changed, forced or not.

    Args:
        out: a file or folder; what does not exist yet can be anywhere.
        originals: files and folders that were read.

    Raises:
        DatasetError: if writing could replace one of them.
    """
    if not out.exists():
        return
    here = os.path.realpath(out)
    for original in originals:
        there = os.path.realpath(original)
        inside = f"{there}{os.sep}".startswith(f"{here}{os.sep}")
        if inside or (out.is_file() and here.startswith(f"{there}{os.sep}")):
            raise DatasetError(
                f"{str(out)!r} is where the original is ({str(original)!r}), which is never changed; "
                f"name another place"
            )


def write_file(target: Path, text: str, force: bool) -> None:
    """Write a text file under another name first.

    Raises:
        DatasetError: if it exists and `force` is not set, or cannot be written.
    """
    if target.exists() and not force:
        raise DatasetError(
            f"{str(target)!r} exists; name another file, or say --force to replace it"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix=f".{target.name}-", dir=target.parent, delete=False
        ) as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        os.replace(file.name, target)
    except OSError as error:
        raise DatasetError(f"cannot write {str(target)!r}: {error.strerror}") from error


def _move_into(fresh: Path, target: Path) -> None:
    if not target.exists():
        fresh.rename(target)
        return
    for path in sorted(fresh.rglob("*")):
        destination = target / path.relative_to(fresh)
        if path.is_dir() and not path.is_symlink():
            destination.mkdir(exist_ok=True)
        else:
            os.replace(path, destination)
