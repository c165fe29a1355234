"""Weight files by name: from the cache folder, or downloaded into it once.

A file in the folder is used as it is, whoever put it there, once its hash is right; one that is wrong
is refused, never removed. Otherwise one process of the machine downloads it and the others wait. What
comes wrong from the network is removed and fetched once more.

Transfer: HTTP with urllib, which honours the proxy variables of the environment. `NAME.part` has the
bytes so far, `NAME.part.json` what the server said of the file; `Range` with `If-Range` (RFC 9110,
section 13.1.5) continues it only while it is the same. A server that supports neither, or has another
file by now, sends all of it and we start over.
Hashes: the beginning in the published name; the sha256 that the Hugging Face hub names in
`X-Linked-ETag` of its redirect (the ETag of the storage it redirects to is not that hash); and
`NAME.sha256`, written beside a download in the format of the sha256sum tool, so that every later start
notices damage, also where the publisher gives no hash.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import json
import logging
import os
import re
import shutil
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import filelock
from tqdm import tqdm

from .catalogue import CatalogueEntry

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "PADDLEX_MASKRCNN_WEIGHTS"
OFFLINE_VARIABLES = ("PADDLEX_MASKRCNN_OFFLINE", "HF_HUB_OFFLINE")
ATTEMPTS = 5  # without getting further
PAUSE_SECONDS = 1.0  # doubled each time
TIMEOUT_SECONDS = 30.0  # without a byte
PROBE_SECONDS = 5.0  # until a server that says nothing counts as out of reach
_BLOCK_BYTES = 1 << 18
_HUB = "https://huggingface.co"
_TRY_LATER = {408, 425, 429, 500, 502, 503, 504}


def fetch(entry: CatalogueEntry) -> Path:
    """The entry's file, downloaded unless it is there, verified by every hash there is.

    Raises:
        ValueError: when it cannot be had or is not what was published; names the file, its address
            and the folder to put it into by hand.
    """
    path = weights_folder() / entry.file_name
    if not path.is_file():
        _obtain(entry, path)
    hashes = _hashes_in_name(entry) + _recorded_hash(path)
    if wrong := _mismatch(path, hashes):
        record = _record_path(path)
        too = f" ({record.name} too if it was replaced on purpose)" if record.is_file() else ""
        raise ValueError(f"{path} is damaged: {wrong}; delete it{too} and start again")
    if not hashes:
        logger.info("%s is not verified: its publisher gives no hash", path)
    return path


def download_file(url: str, path: Path) -> None:
    """A file from any address, unless it is there; continued where a former try was cut off.

    Args:
        path: what it is called here; its folder is made.

    Raises:
        ValueError: when it cannot be had; says what to do by hand.
    """
    if path.is_file() and not _mismatch(path, _recorded_hash(path)):
        return
    part, by_hand = _PartFile(path, url), f"Get it on a machine that can and save it as {path}"
    try:
        if variable := offline_variable():
            raise _DownloadError(f"{variable} forbids downloads")
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            if not path.is_file() or _mismatch(path, _recorded_hash(path)):
                _download(part, [])
    except _DownloadError as error:
        raise ValueError(f"{url} could not be downloaded ({error}). {by_hand}") from error
    except _DiskFullError as error:
        raise ValueError(f"{url} could not be downloaded: {error}, and start again") from error
    except OSError as error:
        raise ValueError(f"{url} could not be written to {path} ({error})") from error


def weights_folder() -> Path:
    """$PADDLEX_MASKRCNN_WEIGHTS, or the folder of torch's own downloads."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else _torch_hub() / "checkpoints"
    return folder.expanduser().absolute()


def _torch_hub() -> Path:
    """`torch.hub.get_dir()`, also before torch is imported, which takes seconds."""
    if "torch" in sys.modules:  # it may have been told another folder
        return Path(sys.modules["torch"].hub.get_dir())
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")) / "hub"


def why_unreachable(entry: CatalogueEntry) -> str:
    """Why a download of the entry cannot begin, within seconds; empty when its server answers."""
    if variable := offline_variable():
        return f"{variable} forbids downloads"
    url, reasons = _address(entry.url), list[str]()

    def ask() -> None:
        try:
            with _open(url, {"Range": "bytes=0-0"}, PROBE_SECONDS):
                reasons.append("")
        except _DownloadError as error:
            # what a server refuses is told by the download, which may also try again
            answered = isinstance(error.__cause__, urllib.error.HTTPError)
            reasons.append("" if answered else str(error))

    # a thread of its own: looking up the name of a server has no timeout
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * PROBE_SECONDS)
    reason = reasons[0] if reasons else f"no answer in {2 * PROBE_SECONDS:g} s"
    return f"{urllib.parse.urlsplit(url).netloc} cannot be reached ({reason})" if reason else ""


def _obtain(entry: CatalogueEntry, path: Path) -> None:
    """Download it, unless that is forbidden or another process does; ValueError says what to do."""
    if os.path.lexists(path) and not path.is_file():
        raise ValueError(f"{path} is in the way of {entry.name}: it is not a file; remove it")
    if variable := offline_variable():
        raise ValueError(
            f"{entry.name} is not there and {variable} forbids to download it. {by_hand(entry)}"
        )
    part = _PartFile(path, _address(entry.url))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            if not path.is_file():  # another process may have been quicker
                _download(part, _hashes_in_name(entry))
    except _DownloadError as error:
        raise ValueError(
            f"{entry.name} could not be downloaded from {part.url} ({error}). {by_hand(entry)}"
        ) from error
    except _DiskFullError as error:
        raise ValueError(
            f"{entry.name} could not be downloaded: {error}, or name another folder with "
            f"${FOLDER_VARIABLE}, and start again"
        ) from error
    except OSError as error:
        raise ValueError(
            f"{entry.name} could not be written into {path.parent} ({error}); name a folder that "
            f"can be written to with ${FOLDER_VARIABLE}. {by_hand(entry)}"
        ) from error


def offline_variable() -> str | None:
    """The environment variable, as set, that forbids downloads; None when they are allowed."""
    for name in OFFLINE_VARIABLES:
        value = os.environ.get(name, "")
        if value.strip().lower() not in ("", "0", "false", "no", "off"):
            return f"{name}={value}"
    return None


def by_hand(entry: CatalogueEntry) -> str:
    """How to do without a download."""
    hashes = [f" ({algorithm} {prefix}...)" for algorithm, prefix, _ in _hashes_in_name(entry)]
    return (
        f"Get {entry.url}{''.join(hashes)} on a machine that can, save it as "
        f"{weights_folder() / entry.file_name} (${FOLDER_VARIABLE} names another folder) and start "
        "again; pretrain_weights null trains from random weights"
    )


def _lock(path: Path) -> filelock.AcquireReturnProxy:
    """The file's lock, for a `with`; the system frees it when the process dies."""
    lock = filelock.FileLock(path.with_name(f"{path.name}.lock"))
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.info("waiting for another process that downloads %s", path.name)
        return lock.acquire()


def _address(url: str) -> str:
    """The url, at the mirror $HF_ENDPOINT names if it is of the Hugging Face hub."""
    mirror = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return mirror + url.removeprefix(_HUB) if mirror and url.startswith(f"{_HUB}/") else url


_Hash = tuple[str, str, str]  # algorithm, how it begins in hexadecimal, who says so


def _hashes_in_name(entry: CatalogueEntry) -> list[_Hash]:
    hashes = (("sha256", entry.hash_prefix, "its name"), ("md5", entry.md5_prefix, "its name"))
    return [expected for expected in hashes if expected[1]]


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _recorded_hash(path: Path) -> list[_Hash]:
    """The sha256 written down for a file; nothing when none is."""
    record = _record_path(path)
    words = record.read_text(encoding="utf-8").split() if record.is_file() else []
    return [("sha256", words[0].lower(), record.name)] if words else []


def _mismatch(path: Path, hashes: list[_Hash]) -> str:
    """The first of the hashes that a file does not have; empty when it has all of them."""
    for algorithm, prefix, source in hashes:
        digest = _digest(path, algorithm)
        if not digest.startswith(prefix):
            return f"its {algorithm} begins with {digest[:8]}, {source} says {prefix[:8]}"
    return ""


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        # md5 is no protection against forgery, but some publishers give nothing else
        return hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()


class _DownloadError(Exception):
    """A file could not be had.

    Attributes:
        transient: whether another try may help.
        wait: seconds the server asks to wait before it.
        restart: whether the bytes so far are of no use to it.
    """

    def __init__(
        self, reason: str, transient: bool = False, wait: float = 0, restart: bool = False
    ) -> None:
        super().__init__(reason)
        self.transient, self.wait, self.restart = transient or restart, wait, restart


class _DiskFullError(Exception):
    """The disk cannot take a file; what it took stays."""


class _Published(NamedTuple):
    """What a server says of a file; None for what it does not say."""

    url: str
    size: int | None  # of the whole file, also where a part of it comes
    validator: str | None  # for `If-Range`: a strong ETag or the date of change
    sha256: str | None


class _PartFile:
    """An incomplete file, and the notes by which a later run can tell what its bytes are of."""

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url = target, url
        self.path = target.with_name(f"{target.name}.part")
        self._notes = target.with_name(f"{target.name}.part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def published(self) -> _Published | None:
        """What the bytes so far are of; None when they cannot be continued."""
        try:
            begun = _Published(**json.loads(self._notes.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none, or not written to its end
            return None
        usable = begun.url == self.url and begun.validator and begun.size is not None
        return begun if usable and 0 < self.size() <= (begun.size or 0) else None

    def start(self, published: _Published) -> None:
        """Forget the bytes so far: a file begins."""
        self.path.write_bytes(b"")  # first, or a crash would leave old bytes under new notes
        self._notes.write_text(json.dumps(published._asdict()), encoding="utf-8")

    def finish(self) -> None:
        """Becomes the target, which is there whole or not at all, even if the machine dies."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._notes.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)


def _download(part: _PartFile, expected: list[_Hash]) -> None:
    """Download, verify and put in place; a file that comes wrong is fetched anew once."""
    path, record = part.target, _record_path(part.target)
    for _ in range(2):
        logger.info("downloading %s to %s", part.url, path.parent)
        sha256 = _complete(part).sha256
        published = expected + ([("sha256", sha256, "its publisher")] if sha256 else [])
        wrong = _mismatch(part.path, published + _recorded_hash(path))
        if not wrong:
            record.write_text(f"{_digest(part.path, 'sha256')}  {path.name}\n", encoding="utf-8")
            part.finish()
            checked = "as published" if published else "not verified: its publisher gives no hash"
            logger.info("%s is there, %s", path, checked)
            return
        part.discard()
        logger.warning("what came for %s is damaged: %s", path.name, wrong)
    remedy = f"; delete {record} if the publisher has a new version" if record.is_file() else ""
    raise _DownloadError(f"what came is damaged and was removed: {wrong}{remedy}")


def _complete(part: _PartFile) -> _Published:
    """Request the file until the part file is whole; while that grows, breaks do no harm."""
    furthest, failures = part.size(), 0
    while True:
        try:
            return _request(part)
        except _DownloadError as error:
            if not error.transient:
                raise
            if error.restart:
                part.discard()
            failures = 1 if part.size() > furthest else failures + 1
            furthest = max(furthest, part.size())
            if failures == ATTEMPTS:
                raise _DownloadError(f"{error}, {ATTEMPTS} times") from error
            pause = max(error.wait, PAUSE_SECONDS * 2 ** (failures - 1))
            logger.warning("%s: %s; trying again in %.0f s", part.target.name, error, pause)
            time.sleep(pause)


def _request(part: _PartFile) -> _Published:
    """Bring the part file to its end, from where it is if the server lets us."""
    begun = part.published()
    offset = part.size() if begun else 0
    if begun and offset == begun.size:  # the last run ended between last byte and final name
        return begun
    headers = {"Range": f"bytes={offset}-", "If-Range": begun.validator} if begun else {}
    with _open(part.url, headers) as (response, linked_etag):
        published = _read_headers(part.url, response, linked_etag)
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            if not begun or not _continues(begun, published, response, offset):
                raise _DownloadError("the file was changed on the server meanwhile", restart=True)
            published = begun
        elif response.headers.get_content_type() == "text/html":
            raise _DownloadError(
                "a web page comes instead of the file; is it a proxy's login page?"
            )
        else:
            part.start(published)
        _receive(response, part, published.size)
    return published


def _continues(begun: _Published, now: _Published, response: Any, offset: int) -> bool:
    """Whether a part of a file belongs to the bytes we have; it need not repeat all of what it is."""
    same = all(new in (None, old) for old, new in zip(begun, now, strict=True))
    return same and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects and remembers the hash that one of them names."""

    linked_etag: str | None = None

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str):
        self.linked_etag = headers.get("X-Linked-ETag", self.linked_etag)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _open(
    url: str, headers: dict[str, Any], timeout: float | None = None
) -> Iterator[tuple[Any, str | None]]:
    """The response and the hub's hash; errors of the connection become ours.

    Args:
        timeout: seconds without a byte, TIMEOUT_SECONDS if None.
    """
    redirects = _Redirects()
    # some servers refuse Python's own name; compressed bytes could not be counted
    headers = {"User-Agent": "paddlex_maskrcnn", "Accept-Encoding": "identity", **headers}
    try:
        request = urllib.request.Request(url, headers=headers)
        response = urllib.request.build_opener(redirects).open(
            request, timeout=timeout or TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _connection_error(error) from error
    except ValueError as error:  # no address at all, as of a mirror without its https://
        raise _DownloadError(str(error)) from error
    with response:
        yield response, redirects.linked_etag or response.headers.get("X-Linked-ETag")


def _refusal(error: urllib.error.HTTPError) -> _DownloadError:
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return _DownloadError("the file is shorter on the server by now", restart=True)
    seconds = error.headers.get("Retry-After", "")  # a date is allowed too: our own pause then
    wait = min(float(seconds), 60.0) if seconds.isdigit() else 0
    reason = f"the server answers {error.code} {error.reason}"
    return _DownloadError(reason, transient=error.code in _TRY_LATER, wait=wait)


def _connection_error(error: Exception) -> _DownloadError:
    """Ours for one of the connection: wrong names and certificates do not pass by themselves."""
    cause = getattr(error, "reason", error)
    permanent = isinstance(cause, ssl.SSLCertVerificationError) or (
        isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
    )
    return _DownloadError(str(cause) or type(cause).__name__, transient=not permanent)


def _read_headers(url: str, response: Any, linked_etag: str | None) -> _Published:
    headers = response.headers
    # a part says "bytes 5-9/10"
    is_part = response.status == http.HTTPStatus.PARTIAL_CONTENT
    length = headers.get("Content-Range" if is_part else "Content-Length", "").rpartition("/")[2]
    # a weak ETag does not promise the same bytes, and `If-Range` may not name it
    etag = headers.get("ETag", "")
    strong = etag if not etag.startswith("W/") else ""
    # small files of the hub have the 40 digits of git there
    sha256 = re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', (linked_etag or "").lower())
    return _Published(
        url=url,
        size=int(length) if length.isdigit() else None,
        validator=strong or headers.get("Last-Modified"),
        sha256=sha256[1] if sha256 else None,
    )


def _receive(response: Any, part: _PartFile, size: int | None) -> None:
    """Append what comes to the part file, with a bar on a terminal."""
    offset, name, folder = part.size(), part.target.name, part.path.parent
    try:
        if size is not None and shutil.disk_usage(folder).free < size - offset:
            raise OSError(errno.ENOSPC, "less is free than is still to come")
        bar = tqdm(total=size, initial=offset, unit="B", unit_scale=True, desc=name, disable=None)
        with bar, part.path.open("ab") as file:
            for block in _blocks(response):
                file.write(block)
                bar.update(len(block))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        whole = f" of {size / 1e6:.1f}" if size is not None else ""
        raise _DiskFullError(
            f"the disk of {folder} is full; {part.size() / 1e6:.1f}{whole} MB are there and are kept: "
            "make room"
        ) from error
    if size is not None and part.size() != size:
        reason = f"the connection ended at {part.size()} of {size} bytes"
        raise _DownloadError(reason, transient=True)


def _blocks(response: Any) -> Iterator[bytes]:
    try:
        while block := response.read1(_BLOCK_BYTES):  # read() would lose bytes when it times out
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _connection_error(error) from error
