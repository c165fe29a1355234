"""Pixels of uploaded bytes, the same as `predict` reads from a file of them.

What a header says is looked at first, so that a small file that claims to be huge is refused before
memory is taken for its pixels. Difference to `predict`: only the formats below, because of others the
size is known only after decoding.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from http import HTTPStatus

import numpy as np
from PIL import Image, TiffImagePlugin

from ..data import images
from ..data.image_headers import is_cut_off, orientation_of
from .refusal import RefusalError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_BIG_TIFF = (b"II+\0", b"MM\0+")
_TIFF = (b"II*\0", b"MM\0*", *_BIG_TIFF)
_WIDTH, _HEIGHT, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 277, 322, 323
_MOST_SAMPLES = 4

Size = tuple[int, int]


def read_picture(data: bytes, num_channels: int, max_pixels: int) -> np.ndarray:
    """The pixels of an encoded image as `predict` takes them.

    Args:
        num_channels: of the model.
        max_pixels: that the header may announce.

    Returns:
        (H, W) or (H, W, channels) of the file's depth, BGR where there are colours, upright.

    Raises:
        RefusalError: 413 too many pixels, 415 no image or of another format, 422 cut off, damaged,
            or of another number of channels.
    """
    for height, width in announced_sizes(data, num_channels):
        if height * width > max_pixels:
            raise RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the image has {width} x {height} pixels, more than the {max_pixels} that this "
                f"service takes",
            )
    encoded = np.frombuffer(data, np.uint8)
    if is_cut_off(encoded):
        raise _unusable("the image is cut off: its end is missing")
    pixels, stored = images.decode_picture(encoded, num_channels)
    if pixels is None:
        raise _unusable("the image cannot be decoded: it is damaged")
    found = 1 if pixels.ndim == 2 else pixels.shape[2]
    if found != num_channels and not (num_channels == 3 and found in (1, 4)):
        raise _unusable(f"the image has {found} channels, but the model takes {num_channels}")
    upright = images.turned(pixels, orientation_of(encoded))
    return _blue_first(upright) if stored == "RGB" and found in (3, 4) else upright


def announced_sizes(data: bytes, num_channels: int = 3) -> Iterator[Size]:
    """(height, width) of everything that decoding takes memory for, from headers alone.

    Raises:
        RefusalError: 415 no image or of another format, 422 damaged or of another number of channels.
    """
    try:
        if data.startswith(_TIFF):
            yield from _sizes_of_tiff(data, num_channels)
            return
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            yield picture.height, picture.width
    except Image.UnidentifiedImageError as error:
        raise RefusalError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"this is not an image, or of none of the formats {', '.join(FORMATS)}",
        ) from error
    except Image.DecompressionBombError as error:
        raise RefusalError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the image has more pixels than Pillow opens"
        ) from error
    except RefusalError:
        raise
    except Exception as error:  # damaged headers make the parsers raise whatever they stumble over
        raise _unusable(f"the image is damaged: {error or type(error).__name__}") from error


def _sizes_of_tiff(data: bytes, num_channels: int) -> Iterator[Size]:
    """Of each page that is decoded, and of its tiles; Pillow opens no TIFF of many channels."""
    file = io.BytesIO(data)
    page = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if data[:4] in _BIG_TIFF else 8])
    samples, pages = 1, 0
    while page.next and (pages == 0 or (samples == 1 != num_channels and num_channels != 3)):
        if pages == max(num_channels, 1):
            raise _unusable(
                f"the image has more than {pages} pages, but the model takes {num_channels} channels"
            )
        file.seek(page.next)
        page.load(file)
        samples, pages = int(page.get(_SAMPLES, 1)), pages + 1
        if samples > max(num_channels, _MOST_SAMPLES):
            raise _unusable(f"the image has {samples} channels, but the model takes {num_channels}")
        yield int(page[_HEIGHT]), int(page[_WIDTH])
        yield int(page.get(_TILE_HEIGHT, 0)), int(page.get(_TILE_WIDTH, 0))
    if pages == 0:
        raise _unusable("the image is damaged: it has no page")


def _blue_first(pixels: np.ndarray) -> np.ndarray:
    order = [2, 1, 0, 3]
    return pixels[:, :, order[: pixels.shape[2]]]


def _unusable(sentence: str) -> RefusalError:
    return RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, sentence)
