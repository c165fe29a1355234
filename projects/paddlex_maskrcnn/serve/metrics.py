"""Counts and times of a service in Prometheus' form, and what surrounds every request.

A request gets an id, its count, a log line, and an answer where the program failed.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable
from urllib.parse import quote

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = CONTENT_TYPE_LATEST
# upper ends of the histograms' bars
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BATCHES = (1, 2, 4, 8, 16, 32)
_OBJECTS = (0, 1, 2, 5, 10, 20, 50, 100, 200)

logger = logging.getLogger(__name__)

ID_HEADER = "X-Request-ID"
_ID = re.compile(r"[\w.-]{1,64}")
_QUIET = ("/health", "/ready", "/metrics")  # asked every few seconds by machines
_SHOWN = 200  # characters of an address


class Metrics:
    """The numbers of one app, apart from those of others in the process."""

    def __init__(self, waiting: Callable[[], int], under_way: Callable[[], int]) -> None:
        """Set up.

        Args:
            waiting: tells how many images wait for the model now.
            under_way: tells how many requests there are now.
        """
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        name = "paddlex_maskrcnn"
        self._requests = Counter(
            f"{name}_requests", "Answered requests.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            f"{name}_request_seconds", "From the request's first line to its answer.", ["path"],
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self._batch = Histogram(
            f"{name}_batch_size", "Images in one run of the network.",
            registry=registry, buckets=_BATCHES,
        )  # fmt: skip
        self._model = Histogram(
            f"{name}_model_seconds", "One run of the network.", registry=registry, buckets=_SECONDS
        )
        self._objects = Histogram(
            f"{name}_objects", "Objects of an answer.", registry=registry, buckets=_OBJECTS
        )
        queue = Gauge(f"{name}_queue_length", "Images waiting for the model.", registry=registry)
        queue.set_function(waiting)
        taken = Gauge(f"{name}_requests_under_way", "Of /predict.", registry=registry)
        taken.set_function(under_way)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def ran(self, batch_size: int, seconds: float) -> None:
        """Count a run of the network."""
        self._batch.observe(batch_size)
        self._model.observe(seconds)

    def count_objects(self, objects: int) -> None:
        """Count an answer's objects."""
        self._objects.observe(objects)

    def text(self) -> bytes:
        """What GET /metrics answers."""
        return generate_latest(self.registry)


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
