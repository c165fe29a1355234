"""`pdx.utils`: what PaddleX's scripts take from there, data sets by address above all.

Origin: PaddleX 1.3 `paddlex.utils`. Differences: a download that was cut off goes on where it ended; an
archive may not write outside of its folder; what it holds appears whole or not at all.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]


def download_and_decompress(url: StrPath, path: StrPath = ".") -> None:
    """Bring the content of an archive (tar, tgz, zip, ...) into a folder, unless it is there already.

    Args:
        url: an http address, whose file stays in `path`; or a file of this machine, as a path or `file:`.
        path: the folder; what the archive has at its top stands in it afterwards.

    Raises:
        ValueError: when the archive cannot be had or unpacked, or something else of a name in it is there.
    """
    folder, name = Path(path), _file_name(url)
    if _is_unpacked(folder, name):
        logger.info("%s is unpacked in %s already", name, folder)
        return
    archive = _archive(url, folder)
    try:
        decompress(archive, folder)
    except ValueError as error:
        if archive.parent != folder:
            raise
        raise ValueError(f"{error} (delete {archive} to have it downloaded anew)") from error


def download(url: StrPath, path: StrPath = ".") -> str:
    """Download a file into a folder, unless it is there; returns its path."""
    return str(_archive(url, Path(path)))


def decompress(fname: StrPath, path: StrPath | None = None) -> None:
    """Unpack an archive into a folder, its own if none is named; nothing is replaced.

    Raises:
        ValueError: when it cannot be unpacked, or something of a name in it is there.
    """
    from ..data.archive import unpack

    archive = Path(fname)
    folder = Path(path) if path is not None else archive.parent
    if _is_unpacked(folder, archive.name):
        return
    # beside its place: what is there under its final name is complete
    temporary = folder / f".{archive.name}.unpacking"
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    try:
        unpack(archive, temporary)
        # hidden are the notes of `unpack`, and what macOS leaves
        entries = sorted(entry.name for entry in temporary.iterdir() if entry.name[0] != ".")
        taken = [name for name in entries if (folder / name).exists()]
        if taken:
            raise ValueError(
                f"{archive} is not unpacked: {folder / taken[0]} is there already; move it away, or "
                "name another path"
            )
        for name in entries:
            (temporary / name).rename(folder / name)
        _record(folder, archive.name).write_text(json.dumps(entries), encoding="utf-8")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def get_environ_info() -> dict[str, Any]:
    """`place`, 'gpu' or 'cpu', and `num`, how many GPUs can be used (1 without any); also `pdx.env_info`."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {"place": "gpu" if count else "cpu", "num": count or 1}


def _archive(url: StrPath, folder: Path) -> Path:
    """The file of an address, downloaded if it has to be."""
    address = os.fspath(url)
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "file":
        return Path(urllib.request.url2pathname(parts.path))
    if parts.scheme not in ("http", "https"):
        return Path(address)
    from ..weights.download import download_file

    target = folder / _file_name(url)
    download_file(address, target)
    return target


def _file_name(url: StrPath) -> str:
    """The last part of an address, without what follows a question mark."""
    address = os.fspath(url)
    parts = urllib.parse.urlsplit(address)
    is_address = parts.scheme in ("http", "https", "file")
    name = Path(urllib.parse.unquote(parts.path) if is_address else address).name
    if not name:
        raise ValueError(f"url is {address!r}; the address of an archive is needed")
    return name


def _record(folder: Path, name: str) -> Path:
    return folder / f".{name}.unpacked"


def _is_unpacked(folder: Path, name: str) -> bool:
    """Whether all that an archive of this name had at its top is there."""
    try:
        entries = json.loads(_record(folder, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(entries) and all((folder / entry).exists() for entry in entries)
