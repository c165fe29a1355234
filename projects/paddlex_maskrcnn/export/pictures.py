"""Images to verify an exported file with: the user's, or drawn ones of several shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..data.datasets.drawn import draw_scene
from ..data.mapper import TestMapper
from ..data.transforms import Compose
from ..data.transforms.resize import width_and_height
from ..engine.network import ModelCard

MOST = 16  # pictures of a folder that are looked at
_SIZES = ((480, 640), (640, 480), (240, 720), (512, 512), (203, 157))  # height, width
_GREY, _CONTRAST = 128, 64  # of a drawn scene, about


def inputs_of(
    card: ModelCard, transforms: Compose, files: Sequence[Path] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """Name and network input of each image.

    Args:
        card: of the model.
        transforms: applied before the network.
        files: pictures; without any, scenes are drawn.

    Raises:
        ValueError: for a picture that cannot be read.
    """
    order, channels = card.input_format.channel_order, card.params.input_channel
    mapper = TestMapper(transforms, order, channels)
    if files:
        chosen = _spread(files)
        return [(str(path), mapper(mapper.pixels(path))) for path in chosen]
    return [
        (f"drawn {width}x{height}", mapper(_drawn(card, height, width)))
        for height, width in _sizes(transforms)
    ]


def _sizes(transforms: Compose) -> list[tuple[int, int]]:
    """(height, width) of the scenes, none larger than what the images are padded to."""
    target = transforms.padding.target_size if transforms.padding else None
    if target is None:
        return list(_SIZES)
    width, height = width_and_height(target)
    return [(min(height, own_height), min(width, own_width)) for own_height, own_width in _SIZES]


def _spread(files: Sequence[Path]) -> list[Path]:
    """At most MOST of them, from the first to the last."""
    places = np.linspace(0, len(files) - 1, min(MOST, len(files)))
    return [files[round(place)] for place in places]


def _drawn(card: ModelCard, height: int, width: int) -> np.ndarray:
    """A scene with as many channels as the network wants and the brightness it was trained with."""
    rng = np.random.default_rng([height, width])
    scene, _ = draw_scene(rng, 0, (max(height, width),) * 2)
    scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA)
    channels, form = card.params.input_channel, card.input_format
    if channels == 3 and max(form.pixel_mean) < 256:
        return scene
    mixed = scene.astype(np.float32) @ rng.dirichlet((1, 1, 1), channels).T.astype(np.float32)
    spread = np.array(form.pixel_std if form.scaled else [_CONTRAST] * channels, np.float32)
    image = np.array(form.pixel_mean, np.float32) + (mixed - _GREY) / _CONTRAST * spread
    return np.clip(image, 0, None).astype(np.float32)
