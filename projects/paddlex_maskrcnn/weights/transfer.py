"""One request for a file, which may continue an earlier one.

What: HTTP with urllib, which honours the proxy variables of the environment. `Range` with
`If-Range` (RFC 9110, section 13.1.5) continues a file only while it is the same one; a server that
knows neither, or has another file by now, sends all of it and we start over.
Hashes: the Hugging Face hub names the sha256 of a large file in `X-Linked-ETag` of its redirect;
the ETag of the storage it redirects to is not that hash and is only used to continue.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import re
import shutil
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

from tqdm import tqdm

from .folder import FOLDER_VARIABLE
from .part_file import PartFile, Published

TIMEOUT_SECONDS = 30.0  # without a byte
BLOCK_BYTES = 1 << 18
_TRY_LATER = {408, 425, 429, 500, 502, 503, 504}


class DownloadError(ValueError):
    """A file cannot be had; trying again would not help."""


class NoRoomError(ValueError):
    """The disk cannot take a file; what it took is kept."""


class TransientError(Exception):
    """A transfer failed in a way that may pass.

    Attributes:
        wait: seconds the server asks to wait, 0 when it does not.
    """

    def __init__(self, reason: str, wait: float = 0) -> None:
        """Args: reason: for the log. wait: seconds the server asks for."""
        super().__init__(reason)
        self.wait = wait


def transfer(url: str, part: PartFile) -> Published:
    """Bring the part file to its end, from where it is if the server lets us.

    Raises:
        TransientError: worth another try; the bytes so far are kept.
        DownloadError: not worth one.
        NoRoomError: the disk cannot take it.
    """
    known = part.known(url)
    offset = part.size() if known else 0
    if known and offset == known.size:
        return known
    headers = {"Range": f"bytes={offset}-", "If-Range": known.validator} if known else {}
    with _open(url, headers, part) as (response, linked):
        published = _published(url, response, linked)
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            if not known or not _continues(known, published, response, offset):
                part.discard()
                raise TransientError("the file was changed on the server meanwhile")
            published = known
        else:
            _refuse_web_page(response)
            part.start(published)
        _receive(response, part, published.size)
    return published


def _continues(known: Published, now: Published, response: Any, offset: int) -> bool:
    """Whether a part of a file belongs to the bytes we have; it need not repeat all of what it is."""
    same = all(new in (None, old) for old, new in zip(astuple(known), astuple(now), strict=True))
    return same and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects and keeps the hash that one of them names."""

    linked_etag: str | None = None

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Any:
        self.linked_etag = headers.get("X-Linked-ETag", self.linked_etag)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _open(url: str, headers: dict[str, Any], part: PartFile) -> Iterator[tuple[Any, str | None]]:
    """The response and the hub's hash; errors of the connection become ours."""
    redirects = _Redirects()
    opener = urllib.request.build_opener(redirects)
    # some servers refuse Python's own name; compressed bytes could not be counted
    headers = {"User-Agent": "paddlex_maskrcnn", "Accept-Encoding": "identity", **headers}
    try:
        response = opener.open(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.discard()
                raise TransientError("the file is shorter on the server by now") from error
            reason = f"the server answers {error.code} {error.reason}"
            if error.code in _TRY_LATER:
                raise TransientError(reason, _retry_after(error)) from error
            raise DownloadError(reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise _connection_error(error) from error
    except ValueError as error:  # no address at all, as of a mirror without its https://
        raise DownloadError(str(error)) from error
    with response:
        yield response, redirects.linked_etag or response.headers.get("X-Linked-ETag")


def _connection_error(error: Exception) -> Exception:
    """Ours for one of the connection: wrong names and certificates do not pass by themselves."""
    cause = getattr(error, "reason", error)
    permanent = isinstance(cause, ssl.SSLCertVerificationError) or (
        isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
    )
    return (DownloadError if permanent else TransientError)(str(cause) or type(cause).__name__)


def _retry_after(error: urllib.error.HTTPError) -> float:
    value = error.headers.get("Retry-After", "")
    return min(float(value), 60.0) if value.isdigit() else 0.0


def _published(url: str, response: Any, linked_etag: str | None) -> Published:
    headers = response.headers
    etag = headers.get("ETag", "")
    strong = etag if etag and not etag.startswith("W/") else None
    sha256 = re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', (linked_etag or "").lower())
    return Published(
        url=url,
        size=_whole_size(response),
        validator=strong or headers.get("Last-Modified"),
        sha256=sha256[1] if sha256 else None,
    )


def _whole_size(response: Any) -> int | None:
    """Bytes of the whole file, also when the response is a part of it."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        total = response.headers.get("Content-Length", "")
    return int(total) if total.isdigit() else None


def _refuse_web_page(response: Any) -> None:
    if response.headers.get_content_type() == "text/html":
        raise DownloadError("a web page comes instead of the file; is it a proxy's login page?")


def _receive(response: Any, part: PartFile, size: int | None) -> None:
    """Append what comes to the part file, with a bar on a terminal.

    Raises:
        TransientError: when less comes than announced.
        NoRoomError: when the disk cannot take it.
    """
    folder, offset = part.path.parent, part.size()
    if size is not None and shutil.disk_usage(folder).free < size - offset:
        raise _no_room(folder, offset, size)
    name = part.path.stem
    bar = tqdm(total=size, initial=offset, unit="B", unit_scale=True, desc=name, disable=None)
    try:
        with bar, part.path.open("ab") as file:
            for block in _blocks(response):
                file.write(block)
                bar.update(len(block))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room(folder, part.size(), size) from error
        raise
    if size is not None and part.size() != size:
        raise TransientError(f"the connection ended at {part.size()} of {size} bytes")


def _blocks(response: Any) -> Iterator[bytes]:
    try:
        while block := response.read1(BLOCK_BYTES):  # read() would lose bytes when it times out
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _connection_error(error) from error


def _no_room(folder: Any, have: int, size: int | None) -> NoRoomError:
    whole = f" of {size / 1e6:.1f}" if size is not None else ""
    return NoRoomError(
        f"the disk of {folder} is full; {have / 1e6:.1f}{whole} MB are there and are kept: make room, "
        f"or name another folder with ${FOLDER_VARIABLE}, and start again"
    )
