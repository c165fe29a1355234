"""Around every request: an id, its count, a log line, and an answer where the program failed."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics

logger = logging.getLogger(__name__)

ID_HEADER = "X-Request-ID"
_ID = re.compile(r"[\w.-]{1,64}")
_QUIET = ("/health", "/ready", "/metrics")  # asked every few seconds by machines

_SHOWN = 200  # characters of an address


class Observed:
    """ASGI middleware; plain, since Starlette's base class hides that a client has gone."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(ID_HEADER, "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex[:16]
        scope.setdefault("state", {})["request_id"] = request_id
        start, status = time.perf_counter(), 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, named)
        except Exception:
            logger.exception("request %s failed", request_id)
            if status:  # half an answer is out; the server closes the connection
                raise
            await _send_failure(named, request_id)
        finally:
            self._note(scope, status, time.perf_counter() - start, request_id)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        # of known paths only: a label for whatever strangers ask for would grow without end
        path = getattr(scope.get("route"), "path", "other")
        self._metrics.answered(path, status, seconds)
        level = logging.DEBUG if path in _QUIET else logging.INFO
        shown = quote(scope["path"])[:_SHOWN]  # a line break in it would forge a line of the log
        logger.log(level, "%s %s %d %.3f s %s", scope["method"], shown, status, seconds, request_id)


async def _send_failure(send: Send, request_id: str) -> None:
    body = json.dumps({"detail": failure(request_id), "id": request_id}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def failure(request_id: str) -> str:
    """The sentence of a 500."""
    return f"the service failed on this request; its log has the reason under the id {request_id}"
