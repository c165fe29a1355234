"""The way of one image through the service: upload, pixels, model, masks, all within a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from ..inference.predict import PredictOptions
from .answers import Answer, Image, Timings, as_answers
from .limits import Limits
from .metrics import Metrics
from .pictures import read_picture
from .predictor import Predictor
from .query import Query
from .refusal import CLIENT_GONE, RefusalError
from .uploads import read_upload
from .worker import ModelMemoryError, Worker

_THREADS = 4  # for pixels and masks, beside the model's
_GRACE = 5.0  # seconds for a run that nobody waits for any more

T = TypeVar("T")


class Predicting:
    """What `POST /predict` does.

    Attributes:
        under_way: requests that are being worked on.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self._predictor, self._limits = predictor, limits
        self.under_way = 0
        self.metrics = Metrics(lambda: self.worker.waiting, lambda: self.under_way)
        self.worker = Worker(
            predictor, predictor.warm_up, limits.batch_size, on_batch=self.metrics.ran
        )
        self._threads = ThreadPoolExecutor(_THREADS, "pictures")

    def start(self) -> None:
        """Start the threads; the network warms up."""
        self.worker.start()

    def stop(self) -> None:
        """End the threads; what is still waiting has been cancelled by its request."""
        self.worker.stop(_GRACE)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: Request, query: Query) -> bytes:
        """The JSON of an `Answer`.

        Raises:
            RefusalError: whatever is wrong with the request, or 503, 504.
        """
        end = asyncio.get_running_loop().time() + self._limits.timeout
        with self._taken_on():
            options = self._options(query)
            try:
                async with asyncio.timeout_at(end):
                    data = await read_upload(request, self._limits.max_bytes)
            except TimeoutError as error:
                raise RefusalError(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"the upload took more than {self._limits.timeout:g} seconds",
                ) from error
            except ClientDisconnect as error:
                raise _gone() from error
            return await self._while_wanted(request, self._found(data, options, query), end)

    @contextmanager
    def _taken_on(self) -> Iterator[None]:
        if self.worker.trouble:
            raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, self.worker.trouble)
        if self.under_way >= self._limits.max_queue:
            raise self._later(f"{self.under_way} requests are under way already")
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def _options(self, query: Query) -> PredictOptions:
        try:
            options = query.options(self._limits.batch_size)
        except ValueError as error:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        self._predictor.check_options(options)
        return options

    async def _while_wanted(self, request: Request, work: Awaitable[T], end: float) -> T:
        """The work's result, unless its time is over or the client goes away first."""
        loop = asyncio.get_running_loop()
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait(
                (task, gone), timeout=end - loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            if gone.done():
                raise _gone()
            raise RefusalError(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"there was no result within {self._limits.timeout:g} seconds",
                {"Retry-After": str(self.worker.wait)},
            )
        finally:
            task.cancel()
            gone.cancel()

    async def _found(self, data: bytes, options: PredictOptions, query: Query) -> bytes:
        start = time.perf_counter()
        limits, loop = self._limits, asyncio.get_running_loop()
        pixels = await loop.run_in_executor(
            self._threads, read_picture, data, self._predictor.num_channels, limits.max_pixels
        )
        height, width = pixels.shape[:2]
        self._predictor.check_work(height, width, options, limits.max_tiles, limits.max_pixels)
        decode = time.perf_counter() - start
        try:
            found = await asyncio.wrap_future(self.worker.submit(pixels, options))
        except ModelMemoryError as error:
            raise self._later("there was not enough memory for this image") from error
        self.metrics.found(len(found.objects))
        timings = {"decode": decode, "queue": found.waited, "model": found.computed}
        image = Image(width=width, height=height)
        return await loop.run_in_executor(
            self._threads, _as_json, image, found.objects, query.mask_format, timings, start
        )

    def _later(self, reason: str) -> RefusalError:
        wait = self.worker.wait
        return RefusalError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{reason}; try again in {wait} s",
            {"Retry-After": str(wait)},
        )


def _as_json(
    image: Image, objects: list[Any], mask_format: str, timings: dict[str, float], start: float
) -> bytes:
    begin = time.perf_counter()
    answers = as_answers(objects, mask_format)
    now = time.perf_counter()
    times = Timings(**timings, masks=now - begin, total=now - start)
    return Answer(image=image, objects=answers, timings=times).model_dump_json().encode()


async def _disconnected(request: Request) -> None:
    """Wait until the client has gone; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _gone() -> RefusalError:
    return RefusalError(CLIENT_GONE, "the client has gone")
