"""One thread that runs the network: what waits while it is busy runs next, together where it can.

There is no pause to collect a batch: a lone request starts at once, and under load the requests that
came in during one run make the next one. A request that nobody waits for any more, because its
client has gone or its time is over, is cancelled and never computed. One that runs cannot be ended, but what
it may be is limited: pixels of an image, tiles of a batch. A run that ends in no sensible time is trouble,
so that whoever watches the service starts it anew.
"""

from __future__ import annotations

import gc
import logging
import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..inference.predict import PredictOptions

logger = logging.getLogger(__name__)

Objects = list[Any]
Compute = Callable[[Sequence[np.ndarray], PredictOptions], list[Objects]]
_PACE = 0.2  # weight of the last run in the mean time of an image


class ModelMemoryError(Exception):
    """The image and the network do not fit into memory."""


@dataclass
class Prediction:
    """What the network said of one image, and how long it took, in seconds."""

    objects: Objects
    waited: float
    computed: float


@dataclass(eq=False)
class _Job:
    image: np.ndarray
    options: PredictOptions
    num_tiles: int = 1
    end: float = math.inf
    future: Future[Prediction] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)

    @property
    def is_late(self) -> bool:
        """Whether its request has been answered that there was no result in time."""
        return time.monotonic() > self.end

    def runs_with(self, batch: Sequence[_Job], most_tiles: float) -> bool:
        """Whether it can run together with others, of which there may be none."""
        if not batch:
            return True
        first, tiles = batch[0], self.num_tiles + sum(job.num_tiles for job in batch)
        alike = self.image.shape == first.image.shape and self.options == first.options
        return alike and tiles <= most_tiles


class Worker:
    """The thread and what waits for it.

    Attributes:
        ready: the network is warm.
        pace: seconds an image takes, a running mean.
    """

    def __init__(
        self,
        compute: Compute,
        warm_up: Callable[[], None],
        batch_size: int,
        on_batch: Callable[[int, float], None] = lambda size, seconds: None,
        *,
        most_tiles: float = math.inf,
        longest_run: float = math.inf,
    ) -> None:
        """Keep what is needed; nothing runs before `start`.

        Args:
            compute: images and options to the objects of each image.
            warm_up: called first, in the thread (cuDNN keeps its choices for each thread).
            batch_size: largest number of images that run together.
            on_batch: told the size and the seconds of each run.
            most_tiles: largest number of tiles that run together, unless they are of one image.
            longest_run: seconds after which a run is trouble.
        """
        self._compute, self._warm_up, self._on_batch = compute, warm_up, on_batch
        self._batch_size, self._most_tiles = batch_size, most_tiles
        self._longest_run, self._running_since = longest_run, math.inf
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        # a daemon: a run that hangs does not keep the process alive
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self.ready = False
        self._trouble: str | None = None
        self.pace = 0.0

    def start(self) -> None:
        """Begin, with the warm-up."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Finish what waits and end, within so many seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(seconds)

    @property
    def trouble(self) -> str | None:
        """Why it cannot answer, as far as is known for good; None as long as it can."""
        if time.monotonic() - self._running_since > self._longest_run:
            return f"a run of the network has taken more than {self._longest_run:g} seconds"
        return self._trouble

    def submit(
        self,
        image: np.ndarray,
        options: PredictOptions,
        num_tiles: int = 1,
        end: float = math.inf,
    ) -> Future[Prediction]:
        """What will be found; cancelling it before it runs spares the run.

        Args:
            num_tiles: of the image.
            end: of `time.monotonic`; what has not begun by then is cancelled.
        """
        job = _Job(image, options, num_tiles, end)
        # cancelled when the client goes away, see `_forget`
        job.future.add_done_callback(lambda _: self._forget(job))
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    @property
    def waiting(self) -> int:
        """Images that are not running yet."""
        return len(self._jobs)

    @property
    def wait(self) -> int:
        """Whole seconds, at least one, until what waits now is likely to be done."""
        return max(1, math.ceil(self.pace * (self.waiting + 1)))

    def _forget(self, job: _Job) -> None:
        """A cancelled job gives its image back at once."""
        if job.future.cancelled():
            with self._changed:
                if job in self._jobs:
                    self._jobs.remove(job)

    def _work(self) -> None:
        try:
            self._warm_up()
        except Exception as error:
            logger.exception("the first run of the network failed")
            self._trouble = f"the first run of the network failed: {_first_line(error)}"
        self.ready = self._trouble is None
        while batch := self._next():
            self._running_since = time.monotonic()
            self._run(batch)
            self._running_since = math.inf

    def _next(self) -> list[_Job]:
        """The oldest job and those that can run with it; none when it is time to end."""
        with self._changed:
            while True:
                batch: list[_Job] = []
                for job in list(self._jobs):
                    if len(batch) < self._batch_size and job.runs_with(batch, self._most_tiles):
                        self._jobs.remove(job)
                        if job.is_late:
                            job.future.cancel()
                        if job.future.set_running_or_notify_cancel():
                            batch.append(job)
                if batch or self._stopping:
                    return batch
                self._changed.wait()

    def _run(self, batch: Sequence[_Job]) -> None:
        start = time.perf_counter()
        try:
            predicted = self._compute([job.image for job in batch], batch[0].options)
            seconds = time.perf_counter() - start
            assert len(predicted) == len(batch), (len(predicted), len(batch))
        except Exception as error:
            self._failed(batch, error)
            return
        self._on_batch(len(batch), seconds)
        each = seconds / len(batch)
        self.pace = each if not self.pace else (1 - _PACE) * self.pace + _PACE * each
        for job, objects in zip(batch, predicted, strict=True):
            job.future.set_result(Prediction(objects, start - job.since, seconds))

    def _failed(self, batch: Sequence[_Job], error: Exception) -> None:
        """A batch again one by one, as one image or only their number may be to blame."""
        reason: Exception = error
        # here too, since nobody may be waiting for it any more
        logger.error("a run of %d images failed: %s", len(batch), _first_line(error))
        if is_out_of_memory(error):
            reason = ModelMemoryError(_first_line(error))
            traceback.clear_frames(error.__traceback__)  # they hold the tensors that were made
            _free_memory()
        elif is_fatal(error):
            self._trouble = f"the GPU does not answer any more: {_first_line(error)}"
        if len(batch) == 1 or self._trouble:
            for job in batch:
                job.future.set_exception(reason)
            return
        for job in batch:
            if job.is_late:
                job.future.set_exception(TimeoutError("nobody waits for it any more"))
            else:
                self._run([job])


def is_out_of_memory(error: Exception) -> bool:
    """Of a GPU or of the machine, as far as that is told by an exception."""
    of_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or of_cpu


def is_fatal(error: Exception) -> bool:
    """Whether CUDA has failed in a way that only a new process recovers from."""
    kinds = getattr(torch, "AcceleratorError", ())  # torch >= 2.8
    return isinstance(error, kinds) or "CUDA error" in str(error)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
