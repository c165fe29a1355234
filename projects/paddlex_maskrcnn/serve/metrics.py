"""Counts and times of a service, in Prometheus' form."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BATCHES = (1, 2, 4, 8, 16, 32)
_OBJECTS = (0, 1, 2, 5, 10, 20, 50, 100, 200)


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

    def found(self, objects: int) -> None:
        """Count an answer's objects."""
        self._objects.observe(objects)

    def text(self) -> bytes:
        """What GET /metrics answers."""
        return generate_latest(self.registry)
