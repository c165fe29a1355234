"""What the service asks of a model."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import detectron2
import numpy as np
import torch

from .. import __version__
from ..inference.predict import PredictOptions, warm_up
from ..maskrcnn import MaskRCNN
from .refusal import RefusalError


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

    @property
    def num_channels(self) -> int:
        """Of the images it takes."""
        return self.card.params.input_channel

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

    def check_work(
        self, height: int, width: int, options: PredictOptions, max_tiles: int, max_pixels: int
    ) -> None:
        """Refuse an image that would become too much work for the network.

        Args:
            height, width: of the image, pixels.

        Raises:
            RefusalError: 413.
        """
        tiles = number_of_tiles(height, width, options)
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

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that an image has after the model's transforms, without making it.

        Raises:
            RefusalError: 422 when the transforms do not take such an image.
        """
        for operator in self._transforms.augmentations.augs:
            if operator.largest_zoom(height, width) is not None:  # those that resize
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


def number_of_tiles(height: int, width: int, options: PredictOptions) -> int:
    """How many tiles `predict` makes of an image, without making them."""
    sides = options.tile_size or (height, width)
    counts = []
    for length, side in zip((height, width), sides, strict=True):
        step = max(1, math.floor(side * (1 - options.overlap)))
        counts.append(1 + math.ceil(max(0, length - side) / step))
    return math.prod(counts)
