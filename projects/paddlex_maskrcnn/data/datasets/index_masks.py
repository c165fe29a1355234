"""Pictures whose pixel values number the objects, as in VOC's `SegmentationObject`.

Value i is object i, 0 is background, the largest value (255, or 65535 of 16 bits) the void border.
Palette and grey pictures have the values themselves; colours are taken back to the index that VOC's
colour map (devkit, `VOClabelcolormap`) gives them. Objects that others cover can go on in further
files, `NAME.2.png`, `NAME.3.png`, ...: an object is all its pixels in all of them. So `convert`
writes overlapping objects; other tools read the first file and see what is not covered.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..image_headers import Size
from ..masks import rle_of_pixels
from .text_files import UnusableFileError, read_bytes

_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I")


@dataclass(frozen=True)
class IndexMask:
    """The objects of an index mask.

    Attributes:
        size: (height, width) in pixels.
        rles: index -> compressed COCO RLE.
    """

    size: Size
    rles: dict[int, dict[str, Any]]


def read_index_mask(path: Path) -> IndexMask:
    """Read a mask file and those that go on from it.

    Raises:
        UnusableFileError: if one of them cannot be read, or their sizes differ.
    """
    layers = [_indices(path)]
    while (more := path.with_suffix(f".{len(layers) + 1}{path.suffix}")).is_file():
        layers.append(_indices(more))
    if len({layer.shape for layer in layers}) > 1:
        raise UnusableFileError(f"its further files ({more.stem[:-2]}.N) have other sizes")
    height, width = layers[0].shape
    return IndexMask((height, width), _rles(layers))


def voc_palette() -> np.ndarray:
    """(256, 3) uint8 RGB of each index: the bits of the index, dealt to red, green and blue."""
    palette = np.zeros((256, 3), np.uint8)
    index = np.arange(256)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= ((index >> channel & 1) << (7 - bit)).astype(np.uint8)
        index >>= 3
    return palette


def _indices(path: Path) -> np.ndarray:
    """(H, W) with 0 for background and void."""
    data = read_bytes(path)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            mode, pixels = picture.mode, np.asarray(picture)
    except Exception as error:  # a damaged file makes Pillow raise whatever it stumbles over
        raise UnusableFileError(f"no picture that can be read: {error}") from error
    if mode in ("RGB", "RGBA"):
        return _without_void(_index_of_colors(pixels[..., :3]), 255)
    if pixels.ndim != 2 or pixels.dtype.kind not in "biu":
        raise UnusableFileError(f"mode {mode}: a palette picture, or a grey one, is needed")
    return _without_void(pixels, 65535 if mode in _DEEP_MODES else 255)


def _without_void(indices: np.ndarray, void: int) -> np.ndarray:
    return np.where((indices == void) | (indices < 0), 0, indices)


def _index_of_colors(pixels: np.ndarray) -> np.ndarray:
    weights = np.array([65536, 256, 1])
    codes = pixels.astype(np.int64) @ weights
    known = voc_palette().astype(np.int64) @ weights
    order = np.argsort(known)
    place = np.searchsorted(known[order], codes).clip(max=255)
    indices = order[place]
    strange = known[indices] != codes
    if strange.any():
        color = pixels[strange][0].tolist()
        raise UnusableFileError(f"colour {color} is not in VOC's colour map")
    return indices


def _rles(layers: Sequence[np.ndarray]) -> dict[int, dict[str, Any]]:
    """RLE of each index, in time of the pixels that belong to objects."""
    height, width = layers[0].shape
    places, values = [], []
    for layer in layers:
        columns, rows = np.nonzero(layer.T)  # in the order of COCO's runs: down the columns
        places.append(columns.astype(np.int64) * height + rows)
        values.append(layer[rows, columns])
    place, value = np.concatenate(places), np.concatenate(values)
    order = np.lexsort((place, value))
    place, value = place[order], value[order]
    starts = np.flatnonzero(np.diff(value, prepend=-1))
    return {
        int(value[first]): rle_of_pixels(part, height, width)
        for first, part in zip(starts, np.split(place, starts[1:]), strict=False)
    }
