"""What a request passes before the app: the name that it calls the service by, and time for its bytes.

A web page can point a name of its own at 127.0.0.1 after it was loaded (DNS rebinding) and then read what a
local service answers; the browser still sends that name as Host. An IP address cannot be pointed
elsewhere, so it is always allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

ANY = "*"
_LOCAL = ("localhost",)
_OF_PROBES = ("/health", "/ready")  # orchestrators ask by whatever name, and they tell nothing
_SHOWN = 100  # characters of a name
_DRAINED_BYTES, _DRAINED_SECONDS = 2**20, 1.0


def allowed_hosts(bound_to: str, more: Iterable[str] = ()) -> frozenset[str]:
    """Names that requests may call the service by, beside every IP address.

    Args:
        bound_to: the address or name that it listens on; the machine's own name is allowed where
            others can reach it.
        more: further names; `*` allows all.

    Raises:
        ValueError: for a name that no Host header can be.
    """
    names = {*_LOCAL, bound_to, *more}
    if bound_to not in (*_LOCAL, "127.0.0.1", "::1"):
        names.add(socket.gethostname())
    for name in more:
        if name != ANY and _host_of(name) != name.lower().rstrip("."):
            raise ValueError(
                f"--allow-host {name!r} is no host name; give the name alone, such as vision.example.org, "
                "or * for any"
            )
    return frozenset(name.lower().rstrip(".") for name in names)


def _host_of(header: str) -> str | None:
    """The name of a Host header, without the port; None for none."""
    try:
        parts = urlsplit(f"//{header}")
        host = parts.hostname
        if parts.path or parts.query or parts.fragment or "@" in header or host is None:
            return None
    except ValueError:
        return None
    return host.lower().rstrip(".") or None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class AllowedHosts:
    """ASGI middleware that refuses requests by other names with 421."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OF_PROBES or ANY in self._names:
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).getlist("host")
        host = _host_of(given[0]) if len(given) == 1 else None
        if host is not None and (host in self._names or _is_address(host)):
            await self._app(scope, receive, send)
            return
        shown = ", ".join(given)[:_SHOWN]
        sentence = (
            f"this service is not called {shown!r}; start it with --allow-host NAME if it is "
            "to be reached by that name"
        )
        body = json.dumps({"detail": sentence}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),  # what is left of its body is not read
        ]
        status = int(HTTPStatus.MISDIRECTED_REQUEST)
        await _drain(receive)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive) -> None:
    """Read the start of a body that nobody wants: closing on unread bytes would reset the connection, and
    the client would not see the answer."""
    read, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAINED_SECONDS):
            while more and read < _DRAINED_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)


def with_time_limit(protocol: Any, seconds: float) -> Any:
    """A protocol class of uvicorn whose connections end when a client lets them wait.

    What the app does has a limit of its own. Here are headers that do not come to their end, and
    answers that are not read, which the app does not see.

    Args:
        seconds: for the headers, and between once and twice of it for reading an answer.
    """

    class Timed(protocol):
        _due: asyncio.TimerHandle | None = None
        _is_new = False  # nothing of the next request was received
        _is_read = False  # the client is reading an answer

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            if self._is_new:
                self._is_new = False
                self._wait()
            super().data_received(data)
            self._is_new = self._is_busy()

        def connection_lost(self, error: Exception | None) -> None:
            if self._due is not None:
                self._due.cancel()
            super().connection_lost(error)

        def _is_busy(self) -> bool:
            cycle = getattr(self, "cycle", None)
            return cycle is not None and not cycle.response_complete

        def _wait(self) -> None:
            if self._due is not None:
                self._due.cancel()
            self._due = asyncio.get_running_loop().call_later(seconds, self._look)

        def _look(self) -> None:
            if self._is_busy():
                self._is_read = False
                self._wait()
            elif self.transport.get_write_buffer_size() and not self._is_read:
                self._is_read = True
                self._wait()
            elif not self.transport.is_closing() or self.transport.get_write_buffer_size():
                self.transport.abort()

    return Timed
