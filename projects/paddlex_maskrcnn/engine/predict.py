"""Predictions in the documented form: one dict an object, best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..data.mapper import TestMapper
from ..data.transforms import Compose
from ..modeling.box_predictor import scores_above
from .inference import detect, detect_each
from .network import Network
from .predict_options import PredictOptions
from .results import as_object
from .tiling import Tile, merge_tiles, tiles_of

_WARM_UP_SIZE = (480, 640)


def predict_images(
    network: Network,
    images: Sequence[Any],
    transforms: Compose,
    options: PredictOptions | None = None,
) -> list[list[dict[str, Any]]]:
    """For each image its objects, best first.

    Args:
        network: in evaluation mode.
        images: paths, or (H, W, C) arrays in BGR order.
        transforms: operators applied before the network, to each tile where there are some.
        options: as `predict` takes them; None: the defaults.

    Returns:
        Per object: `bbox` [xmin, ymin, w, h] in pixels, `mask` (H, W) uint8 of the original image,
        `category`, `category_id` (1 is the first class, as in PaddleX), `score`.

    Raises:
        ValueError: for an image that cannot be read, or a threshold below the model's.
    """
    options = options or PredictOptions()
    card = network.card
    least = options.least_score(card.params.score_threshold)
    inputs = _Inputs(network, images, transforms, options)
    found = dict(detect_each(network.module, inputs, options.batch_size))
    results = []
    for (height, width), tiles, places in inputs.seen:
        # before merging: pieces that are not wanted alone shall not fray others
        parts = [[one for one in found.pop(place) if one.score >= least] for place in places]
        results.append(
            [
                as_object(one, card.labels, height, width, options.mask_format)
                for one in merge_tiles(tiles, parts)
            ]
        )
    return results


class _Inputs:
    """The network's inputs, read one after the other, and which image each belongs to.

    Attributes:
        seen: of each image so far, its (height, width), its tiles, and the places of their inputs.
    """

    def __init__(
        self, network: Network, images: Sequence[Any], transforms: Compose, options: PredictOptions
    ) -> None:
        card = network.card
        order, channels = card.input_format.channel_order, card.params.input_channel
        self._mapper = TestMapper(transforms, order, channels)
        self._images, self._options = images, options
        self.seen: list[tuple[tuple[int, int], list[Tile], range]] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        place = 0
        for image in self._images:
            pixels = self._mapper.pixels(image)
            height, width = pixels.shape[:2]
            size, overlap = self._options.tile_size or (height, width), self._options.overlap
            tiles = tiles_of(height, width, size, overlap)
            self.seen.append(((height, width), tiles, range(place, place + len(tiles))))
            place += len(tiles)
            for tile in tiles:
                part = pixels[tile.top : tile.bottom, tile.left : tile.right]
                yield {**self._mapper(part), "corner": (tile.left, tile.top)}


def warm_up(network: Network, transforms: Compose) -> None:
    """Run the network once on noise, down to the masks, so that the first prediction is quick.

    On a GPU this loads kernels and lets cuDNN choose. Nothing is done where the operators do not take
    the noise.

    Args:
        network: in evaluation mode.
        transforms: operators applied before it.
    """
    card = network.card
    mapper = TestMapper(transforms, card.input_format.channel_order, card.params.input_channel)
    shape = (*_WARM_UP_SIZE, card.params.input_channel)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        inputs = mapper(noise)
    except ValueError:  # the operators take no picture of this size
        return
    with scores_above(0.0):
        detect(network.module, [inputs])
    if network.device.type == "cuda":
        torch.cuda.synchronize()
