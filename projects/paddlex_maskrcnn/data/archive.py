"""Archives of data sets (zip, tar, tar.gz, tar.bz2, tar.xz), unpacked once and safely.

An archive comes from anywhere. Nothing of it is written outside of its folder: absolute names, `..`, devices
and links that lead out are refused. Bytes are counted while they are written, because headers may lie. All is
written under another name that is changed at the end, so that a folder of the final name is complete.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .archive_entries import Entry, entries_of
from .convert.output import fresh_folder
from .datasets.files import leaves_folder
from .datasets.problems import DatasetError

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
MAX_BYTES = 20 * 10**9

_RECORD = ".unpacked.json"  # hidden, so that no reader takes it for data
_CHUNK = 2**20
_MOST_LISTED = 5
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    EOFError,
    UnicodeError,
)


@dataclass
class _Limits:
    """How many bytes may be written, and how many are.

    Attributes:
        archive: names it in messages.
        room: bytes that may be written.
        is_disk: whether the disk sets that limit.
    """

    archive: Path
    room: int
    is_disk: bool
    written: int = 0

    def check(self, size: int) -> None:
        """Refuse a size of all files together; DatasetError."""
        if size <= self.room:
            return
        reason = (
            f"the disk has room for {_words(self.room)}: make room, or work on another disk"
            if self.is_disk
            else f"at most {_words(self.room)} are unpacked here: unpack it yourself and give the folder"
        )
        packed = self.archive.stat().st_size
        raise DatasetError(
            f"{str(self.archive)!r} ({_words(packed)}) holds {_words(size)} or more when unpacked, and "
            f"{reason}"
        )

    def add(self, size: int) -> None:
        """Count what is going to be written; DatasetError if it is too much."""
        self.written += size
        self.check(self.written)


def is_archive(path: Path) -> bool:
    """Whether a path is named like an archive that can be unpacked, and is no folder."""
    return path.name.lower().endswith(SUFFIXES) and not path.is_dir()


def as_folder(path: Path, parent: Path = Path()) -> Path:
    """A path as it is; that of an archive after it was unpacked, once, into NAME_unpacked.

    Args:
        parent: in which that folder is made.

    Raises:
        DatasetError: if the archive cannot be unpacked.
    """
    return unpack(path, parent / f"{stem_of(path)}_unpacked") if is_archive(path) else path


def stem_of(archive: Path) -> str:
    """The name of an archive without its suffix, both halves of `.tar.gz`."""
    fitting = (suffix for suffix in SUFFIXES if archive.name.lower().endswith(suffix))
    return archive.name[: len(archive.name) - max(map(len, fitting), default=0)]


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a folder of its own; nothing is done where that has happened already.

    Args:
        folder: is made; it must not exist, be empty, or be what this archive was unpacked into.

    Returns:
        the folder.

    Raises:
        DatasetError: if there is no such archive; it is damaged, encrypted, too large or not safe; the folder
            has something else in it or cannot be written. Nothing is left in the folder then.
    """
    if not archive.is_file():
        raise DatasetError(f"there is no file {str(archive)!r}")
    if _is_done(archive, folder):
        return folder
    limits = _limits(archive, folder)
    with _explained(archive, limits), fresh_folder(folder, force=False) as fresh:
        _write_all(archive, fresh, limits)
        state = {**_state(archive), "sha256": _digest(archive)}
        (fresh / _RECORD).write_text(json.dumps(state), encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()  # empty, or fresh_folder would have refused it
    return folder


def _state(archive: Path) -> dict[str, Any]:
    state = archive.stat()
    return {"archive": archive.name, "size": state.st_size, "mtime_ns": state.st_mtime_ns}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_done(archive: Path, folder: Path) -> bool:
    """Whether the folder holds this archive; DatasetError if it holds another one or anything else."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False  # a file of that name is for fresh_folder to refuse
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        state = _state(archive)
        is_same_time = record["mtime_ns"] == state["mtime_ns"]
        if record["size"] == state["size"] and (
            is_same_time or record["sha256"] == _digest(archive)
        ):
            return True
        what = f"another {record['archive']!r}, or an earlier state of it"
    except (OSError, ValueError, KeyError, TypeError):
        what = "something else"
    raise DatasetError(
        f"{str(archive)!r} would be unpacked into {str(folder)!r}, which holds {what}: move or delete "
        "that folder, or unpack the archive yourself and give its folder"
    )


def _limits(archive: Path, folder: Path) -> _Limits:
    parent = next(path for path in folder.absolute().parents if path.is_dir())
    free = shutil.disk_usage(parent).free
    return _Limits(archive, min(free, MAX_BYTES), free < MAX_BYTES)


@contextmanager
def _explained(archive: Path, limits: _Limits) -> Iterator[None]:
    """Turn what the libraries raise into one message."""
    try:
        yield
    except DatasetError:
        raise
    except _DAMAGED as error:
        raise DatasetError(
            f"{str(archive)!r} is damaged or incomplete ({str(error) or type(error).__name__}): download or "
            "export it again"
        ) from error
    except NotImplementedError as error:
        raise DatasetError(
            f"{str(archive)!r} is packed in a way that cannot be read here ({error}): unpack it with "
            "another program and give the folder"
        ) from error
    except OSError as error:
        name = f" ({error.filename!r:.300})" if error.filename else ""
        raise DatasetError(
            f"{str(archive)!r} cannot be unpacked: {error.strerror or error}{name}; the "
            f"{_words(limits.written)} written so far are deleted"
        ) from error


def _write_all(archive: Path, fresh: Path, limits: _Limits) -> None:
    """Files first and links at the end, so that nothing is ever written through a link."""
    links: list[Entry] = []
    bad: list[str] = []
    is_empty = True
    for entry in entries_of(archive, limits.check):
        is_empty = False
        fault = _fault(entry)
        if fault:
            bad.append(f"{entry.name!r:.100} {fault}")
        elif entry.kind == "folder":
            (fresh / entry.name).mkdir(parents=True, exist_ok=True)
        elif entry.kind == "link":
            links.append(entry)
        elif not bad:
            _write(entry, fresh / entry.name, limits)
    links.sort(key=lambda entry: not entry.is_hard)
    bad += [fault for entry in links if not bad and (fault := _made_link(entry, fresh))]
    if bad:
        more = f" and {len(bad) - _MOST_LISTED} more" if len(bad) > _MOST_LISTED else ""
        raise DatasetError(
            f"{str(archive)!r} is not unpacked, because {len(bad)} of its entries could write outside the "
            f"folder: {'; '.join(bad[:_MOST_LISTED])}{more}. Pack the data set again with names relative to "
            "its folder"
        )
    if is_empty:
        raise DatasetError(f"{str(archive)!r} is empty")


def _fault(entry: Entry) -> str:
    """Why an entry may not be written; empty when it may."""
    if leaves_folder(entry.name):
        return "leads out of the folder"
    if entry.kind == "other":
        return "is a device or pipe"
    start = "" if entry.is_hard else os.path.dirname(entry.name)
    leads_out = leaves_folder(entry.link) if entry.is_hard else os.path.isabs(entry.link)
    if entry.kind == "link" and (leads_out or leaves_folder(os.path.join(start, entry.link))):
        return f"is a link to {entry.link!r:.100}"
    return ""


def _write(entry: Entry, target: Path, limits: _Limits) -> None:
    assert entry.open is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    with entry.open() as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            limits.add(len(chunk))
            file.write(chunk)


def _made_link(entry: Entry, fresh: Path) -> str:
    """Make a link. Returns what is wrong if it leads out by way of other links, though its text does not."""
    target = fresh / entry.name
    if _is_below(target.parent, fresh):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if entry.is_hard:
            os.link(fresh / entry.link, target)
        else:
            os.symlink(entry.link, target)
        if _is_below(target, fresh):
            return ""
    return f"{entry.name!r:.100} is a link to {entry.link!r:.100}"


def _is_below(path: Path, folder: Path) -> bool:
    real, real_folder = os.path.realpath(path), os.path.realpath(folder)
    return real == real_folder or real.startswith(os.path.join(real_folder, ""))


def _words(size: int) -> str:
    """A number of bytes as people read it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
