"""The entries of an archive (zip, tar, tar.gz, tar.bz2, tar.xz), one after the other, as its bytes come.

Zip files that do not say in which encoding their names are have UTF-8 (macOS) or GBK (Windows in China) in
practice; the standard's CP437 is what remains. Names with backslashes (.NET) are read as paths.
"""

from __future__ import annotations

import bz2
import gzip
import logging
import lzma
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from .datasets.files import decodes
from .datasets.problems import DatasetError

logger = logging.getLogger(__name__)

MAX_ENTRIES = 10**6

_LONGEST_HEADER = 2**24  # of a tar; tarfile reads extended headers whole, whatever size they claim
_LONGEST_LINK = 4096  # bytes of a path that systems take
_BLOCK = 512  # of a tar
_OPEN_BY_MAGIC: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open,
}  # fmt: skip
# letters that names hardly have: two characters of GBK are two of these in UTF-8 at times
_RARE = re.compile(
    r"[\u0180-\u019f\u01a2-\u01ae\u01b1-\u01cc\u01dd-\u02ff\u0370-\u0385\u0460-\u058f]"
)
# what is taken for an archive and is none that can be read here
_OTHERS = {
    b"Rar!": "a RAR archive", b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file", b"<": "a web page or xml",
    b"version https://git-lfs": "a Git LFS pointer (git lfs pull gets the file)",
}  # fmt: skip


@dataclass
class Entry:
    """A file, folder or link of an archive.

    Attributes:
        name: as the archive has it, with forward slashes; it may lead anywhere.
        kind: file, folder, link, or other (devices and pipes).
        open: opens the content of a file, while the archive is open and until the next entry is asked for.
        link: where a link leads, as written.
        is_hard: whether a link names another entry instead of a path.
    """

    name: str
    kind: str
    open: Callable[[], IO[bytes]] | None = None
    link: str = ""
    is_hard: bool = False


def entries_of(archive: Path, check: Callable[[int], None]) -> Iterator[Entry]:
    """All entries but the companion files of macOS.

    Args:
        check: is given the size in bytes of all files together, where the archive says it beforehand.

    Raises:
        DatasetError: if it is no archive, encrypted, or has too many entries; what the libraries raise for
            damaged ones comes as it is.
    """
    is_zip = zipfile.is_zipfile(archive)
    entries = _of_zip(archive, check) if is_zip else _of_tar(archive)
    for number, entry in enumerate(entries, 1):
        if number > MAX_ENTRIES:
            raise DatasetError(
                f"{str(archive)!r} has more than {MAX_ENTRIES:,} entries: unpack it yourself and give the "
                "folder"
            )
        if entry.name.strip("/") not in ("", ".") and not _is_left_out(entry.name):
            yield entry


def _is_left_out(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] == ".DS_Store"


def _of_zip(archive: Path, check: Callable[[int], None]) -> Iterator[Entry]:
    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
        encrypted = [info.filename for info in infos if info.flag_bits & 1]
        if encrypted:
            raise DatasetError(
                f"{str(archive)!r} is encrypted ({encrypted[0]!r:.100}): unpack it with its password and "
                "give the folder"
            )
        check(sum(info.file_size for info in infos))
        for info, name in zip(infos, _zip_names(infos, archive), strict=True):
            yield _zip_entry(file, info, name.replace("\\", "/"))


def _zip_entry(file: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Entry:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if name.endswith("/"):
        return Entry(name, "folder")
    if kind == stat.S_IFLNK and info.file_size <= _LONGEST_LINK:
        return Entry(name, "link", link=os.fsdecode(file.read(info)))
    if kind not in (0, stat.S_IFREG):
        return Entry(name, "other")
    return Entry(name, "file", lambda: file.open(info))


def _zip_names(infos: list[zipfile.ZipInfo], archive: Path) -> list[str]:
    """The names of all entries, in the encoding that they are in where the archive does not say it."""
    unmarked = {
        info.orig_filename: info.orig_filename.encode("cp437")
        for info in infos
        if not info.flag_bits & 0x800 and not info.filename.isascii() and _is_cp437(info)
    }
    encoding = _encoding(list(unmarked.values()), archive)
    return [
        unmarked[info.orig_filename].decode(encoding)
        if encoding and info.orig_filename in unmarked
        else info.filename
        for info in infos
    ]


def _is_cp437(info: zipfile.ZipInfo) -> bool:
    """Whether zipfile read a name as CP437, in which every byte is a character."""
    try:
        info.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return False
    # a field of its own may have had the name in Unicode
    return info.filename.replace("\\", "/") == info.orig_filename.replace("\\", "/")


def _encoding(names: list[bytes], archive: Path) -> str:
    """The encoding of names that say none; empty where it is neither UTF-8 nor Chinese."""
    if not names:
        return ""
    is_common = all(decodes(name, "gb2312") for name in names)
    if all(decodes(name, "utf-8") for name in names) and not (
        is_common and _RARE.search(b" ".join(names).decode("utf-8"))
    ):
        return "utf-8"
    # GB2312's characters are two high bytes each, which names of Western encodings hardly ever have
    common = sum(decodes(name, "gb2312") for name in names)
    if 2 * common < len(names) or not all(decodes(name, "gb18030") for name in names):
        return ""
    logger.warning(
        "%s: %d names say no encoding and were read as GBK, such as %r",
        archive, len(names), names[0].decode("gb18030"),
    )  # fmt: skip
    return "gb18030"


class _BoundedReader:
    """A stream that refuses to be read in pieces larger than any honest tar needs.

    Attributes:
        last: what was read last.
    """

    def __init__(self, file: IO[bytes], archive: Path) -> None:
        self._file, self._archive = file, archive
        self.seek, self.tell = file.seek, file.tell
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self.last = self._file.read(size)
        return self.last


def _of_tar(archive: Path) -> Iterator[Entry]:
    with archive.open("rb") as file:
        start = file.read(_BLOCK)
    opener = next((each for magic, each in _OPEN_BY_MAGIC.items() if start.startswith(magic)), open)
    if opener is open and start[257:262] != b"ustar":
        _refuse_other(archive, start)
    with opener(archive, "rb") as stream:
        reader = _BoundedReader(stream, archive)
        with tarfile.open(fileobj=cast(IO[bytes], reader), mode="r:", encoding="utf-8") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all
                yield _tar_entry(tar, member, archive)
            if reader.last.strip(
                b"\0"
            ):  # tarfile ends at a header that it cannot read without a word
                raise tarfile.ReadError("a header that cannot be read")


def _refuse_other(archive: Path, start: bytes) -> None:
    """Say what a file is that is no archive; a tar of the oldest kind has no mark and is tried."""
    words = next((text for magic, text in _OTHERS.items() if start.lstrip().startswith(magic)), "")
    if words or len(start) < _BLOCK:
        raise DatasetError(
            f"{str(archive)!r} is {words or ('no archive' if start else 'empty')}: zip, tar, tar.gz, tar.bz2 "
            "and tar.xz are unpacked here; unpack others yourself and give the folder"
        )


def _tar_entry(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path) -> Entry:
    name = _tar_name(member.name, archive)
    if member.isdir():
        return Entry(name, "folder")
    if member.issym() or member.islnk():
        link = _tar_name(member.linkname, archive)
        return Entry(name, "link", link=link, is_hard=member.islnk())
    if not member.isreg():
        return Entry(name, "other")
    return Entry(name, "file", lambda: cast(IO[bytes], tar.extractfile(member)))


def _tar_name(name: str, archive: Path) -> str:
    data = name.encode("utf-8", "surrogateescape")
    encoding = "" if name.isascii() else _encoding([data], archive)
    return data.decode(encoding) if encoding else name
