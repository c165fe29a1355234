"""Weight files by name: from the cache folder, or downloaded into it once.

What: a file in the folder is used as it is, whoever put it there, once its hash is right. Otherwise
one process of the machine downloads it and the others wait for it.
Damage: what comes wrong from the network is removed and fetched once more. A file that has its
final name may have been put there by hand: it is refused when wrong, never removed.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import filelock

from .catalogue import CatalogueEntry
from .download import download
from .folder import FOLDER_VARIABLE as FOLDER_VARIABLE
from .folder import offline_variable, weights_folder
from .hashes import KnownHash, digest, mismatch, record_path, recorded, write_record
from .part_file import PartFile
from .transfer import DownloadError, NoRoomError

logger = logging.getLogger(__name__)

HUB = "https://huggingface.co"


def fetch(entry: CatalogueEntry) -> Path:
    """The entry's file, downloaded unless it is there, verified by every hash that is known.

    Raises:
        ValueError: when it cannot be had or is not what was published; names the file, its address
            and the folder to put it into by hand.
    """
    path = weights_folder() / entry.file_name
    if not path.is_file():
        _obtain(entry, path)
    known = _hashes_in_name(entry) + recorded(path)
    if wrong := mismatch(path, known):
        record = record_path(path)
        too = f" ({record.name} too if it was replaced on purpose)" if record.is_file() else ""
        raise ValueError(f"{path} is damaged: {wrong}; delete it{too} and start again")
    if not known:
        logger.info("%s is not verified: its publisher gives no hash", path)
    return path


def _hashes_in_name(entry: CatalogueEntry) -> list[KnownHash]:
    prefixes = {"sha256": entry.hash_prefix, "md5": entry.md5_prefix}
    return [KnownHash(kind, prefix, "its name") for kind, prefix in prefixes.items() if prefix]


def _obtain(entry: CatalogueEntry, path: Path) -> None:
    """Download it, unless that is forbidden or another process does.

    Raises:
        ValueError: when it cannot be had, with what to do.
    """
    if os.path.lexists(path) and not path.is_file():
        raise ValueError(f"{path} is in the way of {entry.name}: it is not a file; remove it")
    if variable := offline_variable():
        raise ValueError(
            f"{entry.name} is not there and {variable} forbids to download it. {_by_hand(entry)}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if not path.is_file():  # another process may have been quicker
                _download(entry, path)
    except NoRoomError as error:
        raise ValueError(f"{entry.name} could not be downloaded: {error}") from error
    except DownloadError as error:
        raise ValueError(
            f"{entry.name} could not be downloaded from {_address(entry.url)} ({error}). "
            f"{_by_hand(entry)}"
        ) from error
    except OSError as error:
        raise ValueError(
            f"{entry.name} could not be written into {path.parent} ({error}); name a folder that "
            f"can be written to with ${FOLDER_VARIABLE}. {_by_hand(entry)}"
        ) from error


def _by_hand(entry: CatalogueEntry) -> str:
    """How to do without a download."""
    hashes = [f" ({one.algorithm} {one.prefix}...)" for one in _hashes_in_name(entry)]
    return (
        f"Get {entry.url}{''.join(hashes)} on a machine that can, save it as "
        f"{weights_folder() / entry.file_name} (${FOLDER_VARIABLE} names another folder) and start "
        "again; pretrain_weights null trains from random weights"
    )


def _alone(path: Path) -> filelock.AcquireReturnProxy:
    """Hold the file's lock, for a `with`; the system frees it when the process dies."""
    lock = filelock.FileLock(path.with_name(f"{path.name}.lock"))
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.info("waiting for another process that downloads %s", path.name)
        return lock.acquire()


def _download(entry: CatalogueEntry, path: Path) -> None:
    """Download, verify and put in place; a file that comes wrong is fetched anew once.

    Raises:
        DownloadError: when it cannot be had, or is wrong again.
    """
    part = PartFile(path)
    for _ in range(2):
        logger.info("downloading %s to %s", _address(entry.url), path.parent)
        sha256 = download(_address(entry.url), part).sha256
        published = _hashes_in_name(entry)
        published += [KnownHash("sha256", sha256, "its publisher")] if sha256 else []
        wrong = mismatch(part.path, published + recorded(path))
        if not wrong:
            write_record(path, digest(part.path, "sha256"))
            part.finish(path)
            checked = "as published" if published else "not verified: its publisher gives no hash"
            logger.info("%s is there, %s", path, checked)
            return
        part.discard()
        logger.warning("what came for %s is damaged: %s", path.name, wrong)
    record = record_path(path)
    remedy = f"; delete {record} if the publisher has a new version" if record.is_file() else ""
    raise DownloadError(f"what came is damaged and was removed: {wrong}{remedy}")


def _address(url: str) -> str:
    """The url, at the mirror $HF_ENDPOINT names if it is of the Hugging Face hub."""
    mirror = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return mirror + url.removeprefix(HUB) if mirror and url.startswith(f"{HUB}/") else url
