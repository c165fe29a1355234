"""Pictures whose pixel values number the objects, as in VOC's `SegmentationObject`.

Value i is object i, 0 is background, the largest value (255, or 65535 of 16 bits) the void border.
Palette and grey pictures have the values themselves; colours are taken back to the index that VOC's
colour map (devkit, `VOClabelcolormap`) gives them. Objects that others cover can go on in further
files, `NAME.2.png`, `NAME.3.png`, ...: an object is all its pixels in all of them. So `convert`
writes overlapping objects; other tools read the first file and see what is not covered.

Where the boxes of a set are numbered too, the two numberings may disagree: `match_by_box`.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..image_headers import Size
from ..masks import rle_of_pixels
from .files import UnusableFileError, read_bytes

Box = Sequence[float]

_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I")  # Pillow's, of 16 bits: void is 65535 there
_SURE = 0.5  # IoU from which a mask and a box of the same number are taken at their word
_LEAST = 0.3  # IoU below which a mask and a box of different numbers are not joined
_LEAST_OF_SAME = 0.1
_INSIDE = 0.8  # or this part of the mask in the box: void borders eat most of a small object
_BONUS_OF_SAME = 0.2


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
    palette = voc_palette().astype(np.int64) @ weights
    order = np.argsort(palette)
    nearest = np.searchsorted(palette[order], codes).clip(max=255)
    indices = order[nearest]
    strange = palette[indices] != codes
    if strange.any():
        color = pixels[strange][0].tolist()
        raise UnusableFileError(f"colour {color} is not in VOC's colour map")
    return indices


def _rles(layers: Sequence[np.ndarray]) -> dict[int, dict[str, Any]]:
    """RLE of each index, in time of the pixels that belong to objects."""
    height, width = layers[0].shape
    pixels, values = [], []
    for layer in layers:
        columns, rows = np.nonzero(layer.T)  # in the order of COCO's runs: down the columns
        pixels.append(columns.astype(np.int64) * height + rows)
        values.append(layer[rows, columns])
    pixel, value = np.concatenate(pixels), np.concatenate(values)
    order = np.lexsort((pixel, value))
    pixel, value = pixel[order], value[order]
    starts = np.flatnonzero(np.diff(value, prepend=-1))
    return {
        int(value[first]): rle_of_pixels(part, height, width)
        for first, part in zip(starts, np.split(pixel, starts[1:]), strict=False)
    }


def match_by_box(masks: Mapping[int, Box], boxes: Sequence[Box | None]) -> dict[int, int]:
    """Position of a box -> number of its mask.

    Where all agree, mask k belongs to box k - 1. Otherwise pairs are made greedily, best IoU first,
    with a preference for equal numbers. A box of None takes the mask of its number.

    Args:
        masks: number, from 1, -> [x, y, width, height] around its pixels.
        boxes: [x, y, width, height] in the order of their numbers.
    """
    expected = {k: k + 1 for k in range(len(boxes)) if k + 1 in masks}
    agree = all(_overlap(masks[number], boxes[k]) >= _SURE for k, number in expected.items())
    if agree and len(expected) == len(masks):
        return expected
    pairs = []
    for number, mask in masks.items():
        for k, box in enumerate(boxes):
            same = number == k + 1
            overlap = _overlap(mask, box) if same or box is not None else 0.0
            inside = same and _overlap(mask, box, of_first=True) >= _INSIDE
            if inside or overlap >= (_LEAST_OF_SAME if same else _LEAST):
                pairs.append((overlap + _BONUS_OF_SAME * same, k, number))
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for _, k, number in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
        if k not in matched and number not in taken:
            matched[k] = number
            taken.add(number)
    return matched


def _overlap(a: Box, b: Box | None, of_first: bool = False) -> float:
    """IoU of two boxes (or their intersection over the first); 1 with None, 0 if not finite."""
    if b is None:
        return 1.0
    if not all(map(math.isfinite, b)):
        return 0.0
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    whole = a[2] * a[3] if of_first else a[2] * a[3] + b[2] * b[3] - shared
    return shared / max(whole, 1e-9)
