"""One image through the service: upload, pixels, model, masks, all within a time."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Awaitable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

import detectron2
import numpy as np
import torch
from fastapi import Request
from starlette.requests import ClientDisconnect

from .. import __version__
from ..data.mapper import check_pixels
from ..inference.predict import PredictOptions, warm_up
from ..inference.tiling import num_tiles
from ..maskrcnn import MaskRCNN
from .limits import Limits
from .messages import (
    CLIENT_GONE,
    Answer,
    Image,
    Query,
    RefusalError,
    Timings,
    as_answers,
)
from .metrics import Metrics
from .uploads import read_picture, read_upload
from .worker import ModelMemoryError, Worker

_THREADS = 4  # for pixels and masks, beside the model's
_GRACE = 5.0  # seconds for a run that nobody waits for any more
T = TypeVar("T")


class Predictor:
    """A trained model, with its checks of a request."""

    def __init__(self, model: MaskRCNN) -> None:
        """Keep the model.

        Raises:
            ValueError: when it is not trained, or has no transforms.
        """
        if model.network is None:
            raise ValueError("the model has no weights yet; train it, or use load_model")
        if model.test_transforms is None:
            raise ValueError("the model was saved without transforms, so it cannot be served")
        self.model, self.network = model, model.network
        self.card = model.network.card
        self._transforms = model.test_transforms.deterministic()
        order = self.card.input_format.channel_order
        self._setting = self._transforms.context(order, self.num_channels)

    @property
    def num_channels(self) -> int:
        """Of the images it takes."""
        return self.card.params.input_channel

    def read(self, data: bytes, max_pixels: int) -> np.ndarray:
        """The pixels of an encoded image, of values that the model takes.

        Raises:
            RefusalError: as `read_picture`; 422 for values that are no pixels.
        """
        pixels = read_picture(data, self.num_channels, max_pixels, self._setting.keeps_values)
        try:
            check_pixels(pixels, self._setting, "the image")
        except ValueError as error:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        return pixels

    def __call__(
        self, images: Sequence[np.ndarray], options: PredictOptions
    ) -> list[list[dict[str, Any]]]:
        """The objects of each image, masks not made yet."""
        return self.model.batch_predict(
            list(images),
            score_threshold=options.score_threshold,
            tile=options.tile,
            overlap=options.overlap,
            batch_size=options.batch_size,
        )

    def warm_up(self) -> None:
        """One run on noise."""
        warm_up(self.network, self._transforms)

    def check_options(self, options: PredictOptions) -> None:
        """Refuse a threshold below the model's own (422)."""
        try:
            options.least_score(self.card.params.score_threshold)
        except ValueError as error:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error

    def check_work(self, height: int, width: int, options: PredictOptions, limits: Limits) -> int:
        """The number of an image's tiles, unless they would be too much work for the network.

        Args:
            height, width: of the image, pixels.

        Raises:
            RefusalError: 413.
        """
        tiles = num_tiles(height, width, options.tile_size or (height, width), options.overlap)
        max_pixels, max_tiles = limits.max_pixels, limits.max_tiles
        if tiles > max_tiles:
            raise RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"tile and overlap make {tiles} tiles of this image, more than the {max_tiles} that "
                f"this service takes; choose larger tiles or less overlap",
            )
        tile = options.tile_size or (height, width)
        rows, columns = self.network_size(min(height, tile[0]), min(width, tile[1]))
        if rows * columns > max_pixels:
            raise RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the model's transforms make {columns} x {rows} pixels of this image, more than "
                f"the {max_pixels} that this service takes: it is too long and narrow",
            )
        if tiles * rows * columns > limits.max_work:
            raise RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"tile and overlap make {tiles} tiles of this image, which the model's transforms make "
                f"{tiles * rows * columns} pixels of, more than the {limits.max_work} that this "
                "service takes; choose less overlap",
            )
        return tiles

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that an image has after the model's transforms, without making it.

        Raises:
            RefusalError: 422 when the transforms do not take such an image.
        """
        for operator in self._transforms.augmentations.augs:
            if operator.largest_zoom(height, width) is not None:  # those that resize
                # one byte seen as an image of any size: takes no memory
                empty = np.broadcast_to(np.uint8(0), (height, width, self.num_channels))
                resize = operator.get_transform(empty)
                height, width = getattr(resize, "new_h", height), getattr(resize, "new_w", width)
        padding = self._transforms.padding
        try:
            return padding.padded_size(height, width) if padding else (height, width)
        except ValueError as error:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error

    def about(self) -> dict[str, Any]:
        """Classes, input and versions, plain."""
        params, form = self.card.params, self.card.input_format
        ids = zip(self.card.labels, self.card.category_ids, strict=True)
        return {
            "classes": [
                {"category_id": number, "category": name, "dataset_id": in_data}
                for number, (name, in_data) in enumerate(ids, start=1)
            ],
            "backbone": params.backbone,
            "input": {
                "channels": params.input_channel,
                "channel_order": form.channel_order,
                "transforms": self.card.transforms,
            },
            "score_threshold": params.score_threshold,
            "keep_top_k": params.keep_top_k,
            "device": str(self.network.device),
            "versions": {
                "paddlex_maskrcnn": __version__,
                "torch": str(torch.__version__),
                "detectron2": detectron2.__version__,
                "python": platform.python_version(),
            },
        }


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
            predictor,
            predictor.warm_up,
            limits.batch_size,
            on_batch=self.metrics.ran,
            most_tiles=limits.max_tiles,
            longest_run=limits.longest_run,
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
            return await self._while_wanted(request, self._answer(data, options, query, end), end)

    @contextmanager
    def _taken_on(self) -> Iterator[None]:
        if trouble := self.worker.trouble:
            raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, trouble)
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

    async def _answer(
        self, data: bytes, options: PredictOptions, query: Query, end: float
    ) -> bytes:
        start = time.perf_counter()
        limits, loop = self._limits, asyncio.get_running_loop()
        pixels = await loop.run_in_executor(
            self._threads, self._predictor.read, data, limits.max_pixels
        )
        height, width = pixels.shape[:2]
        tiles = self._predictor.check_work(height, width, options, limits)
        decode = time.perf_counter() - start
        try:
            prediction = await asyncio.wrap_future(
                # the loop's clock is time.monotonic
                self.worker.submit(pixels, options, tiles, end)
            )
        except ModelMemoryError as error:
            raise self._later("there was not enough memory for this image") from error
        self.metrics.count_objects(len(prediction.objects))
        timings = {"decode": decode, "queue": prediction.waited, "model": prediction.computed}
        image = Image(width=width, height=height)
        return await loop.run_in_executor(
            self._threads, _as_json, image, prediction.objects, query.mask_format, timings, start
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
