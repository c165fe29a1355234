"""Prediction: options, images in tiles or whole, results as dicts, best first."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

from ..config.check import suggestion
from ..data.mapper import TestMapper
from ..data.transforms import Compose
from ..modeling.box_predictor import scores_above
from .detections import detect, detect_each
from .network import Network
from .results import DENSE, MASK_FORMATS, as_object
from .tiling import Tile, merge_tiles, tiles_of

_WARM_UP_SIZE = (480, 640)  # (height, width), a usual size; cuDNN chooses anew for other shapes


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Keyword arguments of `predict`.

    Attributes:
        score_threshold: least score of an object, applied after NMS; None: the model's own.
        mask_format: one of MASK_FORMATS.
        batch_size: largest number of images that run together.
        tile: side of the tiles, or (height, width), pixels of the original image; None: no tiles.
        overlap: share of a tile's side that it has in common with the next one.

    Raises:
        ValueError: naming the argument, its value and what is allowed.
    """

    score_threshold: float | None = None
    mask_format: str = DENSE
    batch_size: int = 8
    tile: int | tuple[int, int] | None = None
    overlap: float = 0.2

    def __post_init__(self) -> None:
        if self.mask_format not in MASK_FORMATS:
            raise ValueError(
                f"mask_format is {self.mask_format!r}; choose one of {', '.join(MASK_FORMATS)}"
                f"{suggestion(self.mask_format, MASK_FORMATS)}"
            )
        if not _is_count(self.batch_size):
            _refuse("batch_size", self.batch_size, "an integer >= 1")
        if self.tile is not None and self.tile_size is None:
            _refuse("tile", self.tile, "pixels >= 16, one number or (height, width)")
        if not _is_number(self.overlap) or not 0 < self.overlap < 1:
            _refuse(
                "overlap", self.overlap, "above 0 and below 1; a part of each tile, such as 0.2"
            )

    @property
    def tile_size(self) -> tuple[int, int] | None:
        """(height, width) of a tile, or None."""
        sides = (self.tile, self.tile) if isinstance(self.tile, Integral) else self.tile
        if not isinstance(sides, (tuple, list)) or len(sides) != 2:
            return None
        if not all(_is_count(side) and side >= 16 for side in sides):
            return None
        return int(sides[0]), int(sides[1])

    def least_score(self, own: float) -> float:
        """The threshold to apply.

        Args:
            own: the model's, below which its NMS has dropped everything.

        Raises:
            ValueError: for one that is lower, or no score.
        """
        asked = self.score_threshold
        if asked is None:
            return 0.0  # the network has applied its own
        if not _is_number(asked) or not 0 <= asked <= 1:
            _refuse("score_threshold", asked, "0 to 1")
        if asked < own:  # what NMS has not seen cannot be brought back
            raise ValueError(
                f"score_threshold is {asked}, but this model drops everything below {own:g} before "
                f"its NMS; give at least that, or lower params.score_threshold in its model.yml and "
                f"load it again"
            )
        return float(asked)


def _refuse(name: str, value: Any, allowed: str) -> None:
    raise ValueError(f"{name} is {value!r}; allowed: {allowed}")


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def predict_images(
    network: Network,
    images: Sequence[Any],
    transforms: Compose,
    options: PredictOptions | None = None,
) -> list[list[dict[str, Any]]]:
    """For each image its objects, best first.

    Args:
        network: in evaluation mode.
        images: paths, (H, W, C) arrays in BGR order, or Pillow pictures.
        transforms: operators applied before the network, to each tile where there are some.
        options: as `predict` takes them; None: the defaults.

    Returns:
        Per object: `bbox` [xmin, ymin, w, h] in pixels, `mask` (H, W) uint8 of the original image,
        `category`, `category_id` (1 is the first class, as in PaddleX), `score`.

    Raises:
        ValueError: for an image that cannot be read or whose values are no pixels, something else than
            an image, or a threshold below the model's.
    """
    options = options or PredictOptions()
    card = network.card
    least = options.least_score(card.params.score_threshold)
    inputs = _Inputs(network, images, transforms, options)
    detections = dict(detect_each(network.module, inputs, options.batch_size))
    results = []
    for (height, width), tiles, indices in inputs.seen:
        # before merging: a piece below the threshold must not become part of another object
        parts = [
            [detection for detection in detections.pop(index) if detection.score >= least]
            for index in indices
        ]
        results.append(
            [
                as_object(detection, card.labels, height, width, options.mask_format)
                for detection in merge_tiles(tiles, parts)
            ]
        )
    return results


class _Inputs:
    """The network's inputs, read one after the other, and which image each belongs to.

    Attributes:
        seen: of each image so far, its (height, width), its tiles, and the indices of their inputs.
    """

    def __init__(
        self, network: Network, images: Sequence[Any], transforms: Compose, options: PredictOptions
    ) -> None:
        card = network.card
        order, channels = card.input_format.channel_order, card.params.input_channel
        self._mapper = TestMapper(transforms, order, channels)
        self._images, self._options = images, options
        self.seen: list[tuple[tuple[int, int], list[Tile], range]] = []

    def _pixels(self, image: Any) -> np.ndarray:
        """Of an image; messages name a path, and the position in the list of everything else."""
        try:
            return self._mapper.pixels(image)
        except ValueError as error:
            if len(self._images) == 1 or isinstance(image, str | os.PathLike):
                raise
            raise ValueError(f"image {len(self.seen)} of the list: {error}") from error

    def __iter__(self) -> Iterator[dict[str, Any]]:
        index = 0
        for image in self._images:
            pixels = self._pixels(image)
            height, width = pixels.shape[:2]
            size, overlap = self._options.tile_size or (height, width), self._options.overlap
            tiles = tiles_of(height, width, size, overlap)
            self.seen.append(((height, width), tiles, range(index, index + len(tiles))))
            index += len(tiles)
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
    # on noise nothing may pass the model's threshold, and then the mask head would not run
    with scores_above(0.0):
        detect(network.module, [inputs])
    if network.device.type == "cuda":
        torch.cuda.synchronize()
