"""The image in a request's body, and its pixels, the same as `predict` reads from a file of them.

The body is a form's file or the image itself, never more than the limit. What a header says is looked at
first, so that a small file that claims to be huge is refused before memory is taken for its pixels.
Difference to `predict`: only the formats below, because of others the size is known only after decoding.
"""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from http import HTTPStatus

import numpy as np
from fastapi import Request
from PIL import Image, TiffImagePlugin
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ..data import images
from ..data.foreign_files import described
from ..data.image_headers import is_cut_off, orientation_of, undecodable
from .messages import RefusalError

FILE_FIELD = "file"
_FORM = "multipart/form-data"
# The second is what `curl --data-binary` says unless it is told otherwise.
_RAW = ("application/octet-stream", "application/x-www-form-urlencoded", "")
_ENVELOPE = 16 * 1024  # bytes of a form around its file

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_BIG_TIFF = (b"II+\0", b"MM\0+")
_TIFF = (b"II*\0", b"MM\0*", *_BIG_TIFF)
_MOST_SAMPLES = 4
Size = tuple[int, int]


class _InMemory(MultiPartParser):
    spool_max_size = 0  # no temporary files: the body is bounded, and the disk may be read-only


async def read_upload(request: Request, max_bytes: int) -> bytes:
    """The encoded image of a request.

    Args:
        max_bytes: reading ends with the first byte above.

    Raises:
        RefusalError: 413 too large, 415 for another type of content, 400 for a body without image.
        ClientDisconnect: when the client went away meanwhile.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != _FORM and kind not in _RAW and not kind.startswith("image/"):
        raise RefusalError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the content type is {kind[:100]}; send the bytes of an image as image/jpeg or another "
            f"image type, or a form (multipart/form-data) with the image in the field {FILE_FIELD!r}",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusalError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "the body is compressed (Content-Encoding); send the image file as it is",
        )
    if kind == _FORM:
        data = await _file_of_form(request, max_bytes)
    else:
        data = b"".join([chunk async for chunk in _bounded(request, max_bytes, max_bytes)])
    if not data:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "the request has no image: it is empty")
    return data


async def _bounded(request: Request, most: int, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body's pieces, as long as there are not too many."""
    length = request.headers.get("content-length", "")
    received = 0
    # refused before it is read; a length that is missing or wrong is seen below
    if length.isdecimal() and int(length) > most:
        raise _too_large(max_bytes)
    async with aclosing(request.stream()) as pieces:
        async for piece in pieces:
            received += len(piece)
            if received > most:
                raise _too_large(max_bytes)
            yield piece


async def _file_of_form(request: Request, max_bytes: int) -> bytes:
    async with aclosing(_bounded(request, max_bytes + _ENVELOPE, max_bytes)) as pieces:
        parser = _InMemory(request.headers, pieces, max_files=1, max_fields=8)
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise RefusalError(
                HTTPStatus.BAD_REQUEST, f"the form cannot be read: {error.message}"
            ) from error
    try:
        data = await _only_file(form).read()
    finally:
        await form.close()
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def _only_file(form: FormData) -> UploadFile:
    others = [name for name, value in form.multi_items() if not isinstance(value, UploadFile)]
    if others and others != [FILE_FIELD]:
        raise RefusalError(
            HTTPStatus.BAD_REQUEST,
            f"the form has the field {others[0][:100]!r}; it takes the image only, options belong "
            f"into the address, such as /predict?score_threshold=0.5",
        )
    file = form.get(FILE_FIELD)
    if not isinstance(file, UploadFile):
        raise RefusalError(
            HTTPStatus.BAD_REQUEST,
            f"the form has no file in a field {FILE_FIELD!r}, as curl -F {FILE_FIELD}=@photo.jpg "
            f"sends it",
        )
    return file


def _too_large(max_bytes: int) -> RefusalError:
    return RefusalError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the upload is larger than {max_bytes / 2**20:.3g} MB, the most that this service takes",
    )


# TIFF's numbers of its tags
_WIDTH, _HEIGHT, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 277, 322, 323


def read_picture(
    data: bytes, num_channels: int, max_pixels: int, keep_values: bool = False
) -> np.ndarray:
    """The pixels of an encoded image as `predict` takes them.

    Args:
        num_channels: of the model.
        max_pixels: that the header may announce.
        keep_values: as in `data.images.read_image`.

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
    pixels, stored = images.decode_picture(encoded, num_channels, keep_values)
    if pixels is None:
        raise _unusable(f"the image cannot be decoded: {undecodable(encoded)}")
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels != num_channels and not (num_channels == 3 and channels in (1, 4)):
        raise _unusable(f"the image has {channels} channels, but the model takes {num_channels}")
    upright = images.turned(pixels, orientation_of(encoded))
    return _blue_first(upright) if stored == "RGB" and channels in (3, 4) else upright


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
        kind = described(data[:1024])
        raise RefusalError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"this is not an image, or of none of the formats {', '.join(FORMATS)}"
            + (f": {kind}" if kind else ""),
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
    # the file's header: byte order, version, where the first page is
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
        # a tile can be larger than its page, and decoding makes whole tiles
        yield int(page.get(_TILE_HEIGHT, 0)), int(page.get(_TILE_WIDTH, 0))
    if pages == 0:
        raise _unusable("the image is damaged: it has no page")


def _blue_first(pixels: np.ndarray) -> np.ndarray:
    # a fourth channel, transparency, stays the last
    order = [2, 1, 0, 3]
    return pixels[:, :, order[: pixels.shape[2]]]


def _unusable(sentence: str) -> RefusalError:
    return RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, sentence)
