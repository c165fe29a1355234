"""What a picture's file says before its pixels are decoded: size, EXIF orientation, is it whole?

Sizes are (height, width) in pixels. A photograph that was taken with the camera turned has two of
them: as stored, and upright, with its EXIF orientation applied. Annotation tools draw on upright
pixels; json files written from the stored ones exist too, and their sizes tell which.

A LabelMe json counts as a picture when it has the pixels in it (`imageData`).
"""

import base64
import binascii
import io
import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from .foreign_files import described
from .tiff import MAGIC as TIFF_MAGIC
from .tiff import first_page

Size = tuple[int, int]

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples of a pixel
_DEFLATE = 1040  # times that deflate makes data smaller, at most 1032 and some for its own headers
_ORIENTATION_TAG = 274
_SWAPS_SIDES = (5, 6, 7, 8)
_TAIL = 4096  # bytes in which the end of a whole file is looked for first
_MOST_PIXELS = 2**30  # OpenCV's limit
# of Pillow's, those that OpenCV decodes in all its builds; any other is decoded to be sure
_DECODED = ("JPEG", "MPO", "PNG", "BMP", "WEBP", "PPM")
_NUMPY = b"\x93NUMPY"
_START = 1024  # bytes that tell what a file is

# OpenCV writes an account of its own to standard error for every file that it cannot decode; the errors
# raised here name the file, and often another way to decode it is tried next
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_without_limit = threading.Lock()  # held while Pillow's limit of pixels is lifted


@dataclass(frozen=True)
class Header:
    """The sizes of a picture, equal unless its EXIF orientation swaps its sides.

    Attributes:
        upright: (height, width) in pixels with the orientation applied.
        stored: (height, width) in pixels without it.
        orientation: EXIF's, 1 (upright) where there is none.
        has_more: whether there are pages or frames after the first.
    """

    upright: Size
    stored: Size
    orientation: int = field(default=1, compare=False)
    has_more: bool = field(default=False, compare=False)

    def fits(self, size: Size) -> bool:
        """Whether annotations made for this size can be those of the picture."""
        return size in (self.upright, self.stored)


def read_header(path: str | os.PathLike[str]) -> Header:
    """The sizes of a picture; its pixels are decoded only where the header does not tell whether they can be.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is not a picture, is cut off, is too large to be decoded, or is stored in a
            way that is not read.
    """
    suffix = os.path.splitext(path)[1].lower()
    if not stat.S_ISREG(os.stat(path).st_mode):  # a named pipe would be waited for without end
        raise ValueError("not a file")
    if suffix == ".npy":
        height, width = load_array(Path(path)).shape[:2]
        return Header((height, width), (height, width))
    if suffix == ".json":
        return _header_of(io.BytesIO(file_bytes(Path(path)).tobytes()))
    with open(path, "rb") as file:
        return _header_of(file)


class MissingImageError(FileNotFoundError, ValueError):
    """There is no such file; a ValueError too, as every other fault of a picture is."""


def file_bytes(path: Path) -> np.ndarray:
    """The encoded picture as uint8, out of a LabelMe json where it is in one.

    Raises:
        MissingImageError: if there is no such file.
        OSError: if the file cannot be read.
        ValueError: if a json has no picture in it.
    """
    if not path.exists():
        raise MissingImageError(f"there is no image {str(path)!r}")
    if not stat.S_ISREG(os.stat(path).st_mode):  # a named pipe would be waited for without end
        raise ValueError(f"image {str(path)!r} is not a file")
    if path.suffix.lower() != ".json":
        return np.fromfile(path, np.uint8)
    try:
        content = json.loads(path.read_bytes())
        data = content.get("imageData") if isinstance(content, dict) else None
        encoded = np.frombuffer(base64.b64decode(data or b""), np.uint8)
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise ValueError(f"no picture in its imageData: {error}") from error
    if not encoded.size:
        raise ValueError("no picture in its imageData")
    return encoded


def load_array(path: Path) -> np.ndarray:
    """An NPY file as an array that is read when it is used.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is not one of numbers, or not of shape (H, W) or (H, W, C).
    """
    what = f"image {str(path)!r}"
    with open(path, "rb") as file:
        start = file.read(_START)
    if not start.startswith(_NUMPY):
        kind = described(start) or "numpy.save writes another beginning"
        raise ValueError(f"{what} is not a NumPy array: {kind}")
    try:  # mapped, so that a header that lies about the shape takes no memory
        with np.errstate(over="ignore"):  # of the product of sides, whose buffer is then too small
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # damaged headers make NumPy raise whatever it stumbles over
        raise ValueError(f"{what} is not a NumPy array: {error or type(error).__name__}") from error
    if array.dtype.kind not in "uif":
        raise ValueError(
            f"{what} holds {array.dtype}, not numbers of a picture: save it as uint8, uint16 or float32"
        )
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(f"{what} must have shape (H, W[, C]), has {array.shape}")
    return array


def orientation_of(data: np.ndarray) -> int:
    """The EXIF orientation of an encoded picture, 1 (upright) where there is none."""
    orientation = _with_pillow(io.BytesIO(data.tobytes()), _orientation, is_header=True)
    return 1 if isinstance(orientation, str) or orientation is None else orientation


def swaps_sides(orientation: int) -> bool:
    """Whether height and width are exchanged when the picture is turned upright."""
    return orientation in _SWAPS_SIDES


def is_cut_off(data: np.ndarray) -> bool:
    """Whether the end of a JPEG or PNG is missing, which some decoders fill with grey."""
    if data[:8].tobytes() == _PNG and (
        _lacks_pixels(data[:_START].tobytes(), len(data)) or _has_long_chunk(data.tobytes())
    ):
        return True
    ends = data[:8].tobytes(), data[-_TAIL:].tobytes()
    return _lacks_end(*ends) and _breaks_off(io.BytesIO(data.tobytes()))


def _lacks_pixels(start: bytes, size: int) -> bool:
    """Whether a PNG of so many bytes cannot hold the pixels that its header promises."""
    if not start.startswith(_PNG) or len(start) < 26:
        return False
    width, height = int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
    row = 1 + width * start[24] * _PNG_SAMPLES.get(start[25], 1) // 8
    return height * row > _DEFLATE * size


def _has_long_chunk(data: bytes) -> bool:
    """Whether a chunk of a PNG says it is longer than the file, which OpenCV 5 takes memory for."""
    start, kind = len(_PNG), b""
    while kind != b"IEND" and start <= len(data):
        kind = data[start + 4 : start + 8]
        # length, kind and checksum take 4 bytes each
        start += 12 + int.from_bytes(data[start : start + 4], "big")
    return start > len(data)


def decode(data: np.ndarray, flags: int) -> np.ndarray | None:
    """The pixels by OpenCV, None if it cannot."""
    try:
        return cv2.imdecode(data, flags)
    except cv2.error:  # OpenCV raises for an empty buffer and returns None for the rest
        return None


def undecodable(data: np.ndarray) -> str:
    """Why the pixels of an encoded picture cannot be decoded, as far as its bytes tell."""
    start = data[:_START].tobytes()
    page = first_page(io.BytesIO(data.tobytes())) if start[:4] in TIFF_MAGIC else None
    if page is None:
        return described(start) or "not a picture, or damaged"
    return page.refusal or (
        f"a TIFF that is damaged or of a kind that is not read ({page.samples} samples a pixel of "
        f"{page.depth}, compression {page.compression})"
    )


def _header_of(file: Any) -> Header:
    if file.read(4) in TIFF_MAGIC:
        header = _header_of_tiff(file)
        if header is not None:
            return header
    facts = _with_pillow(file, _facts, is_header=True)
    if isinstance(facts, str):
        raise ValueError(facts)
    if facts is None or facts.format not in _DECODED:
        facts = _facts_by_decoding(file, facts)
    elif _is_cut_off(file):
        raise ValueError("the file is cut off: its end is missing")
    height, width = facts.stored
    _check_number_of_pixels(height, width)
    upright = (width, height) if swaps_sides(facts.orientation) else facts.stored
    return Header(upright, facts.stored, facts.orientation, facts.has_more)


def _is_cut_off(file: Any) -> bool:
    start, tail = file.read(26), _tail(file)
    return _lacks_pixels(start, file.tell()) or (_lacks_end(start, tail) and _breaks_off(file))


def _header_of_tiff(file: Any) -> Header | None:
    page = first_page(file)
    if page is None:
        return None
    if page.refusal:
        raise ValueError(page.refusal)
    _check_number_of_pixels(*page.size)
    return Header(page.size, page.size, has_more=page.num_pages > 1)


def _check_number_of_pixels(height: int, width: int) -> None:
    if height * width > _MOST_PIXELS:
        raise ValueError(f"{width}x{height} pixels are too many to be decoded: cut it into tiles")


class _Facts(NamedTuple):
    """What Pillow says of a picture."""

    format: str | None
    stored: Size
    orientation: int
    has_more: bool


def _facts(picture: Image.Image) -> _Facts:
    # a JPEG with more pictures (MPO) holds previews and depth maps of the first
    has_more = picture.format != "MPO" and getattr(picture, "is_animated", False)
    size = picture.height, picture.width
    return _Facts(picture.format, size, _orientation(picture), has_more)


def _with_pillow(file: Any, ask: Callable[[Image.Image], Any], is_header: bool = False) -> Any:
    """What `ask` says of a picture; a text when Pillow refuses it, None when it is unknown to it.

    Args:
        is_header: `ask` takes no pixels, so that Pillow's limit of their number is not needed.
    """
    try:
        file.seek(0)
        with Image.open(file) as picture:
            return ask(picture)
    except Image.UnidentifiedImageError:
        return None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        if is_header:
            with _without_limit:
                return _without_limit_of_pixels(file, ask)
        return "more pixels than Pillow decodes (Image.MAX_IMAGE_PIXELS): cut it into tiles"
    except Exception as error:  # damaged headers make its parsers raise whatever they stumble over
        return f"damaged: {error or type(error).__name__}"
    finally:
        file.seek(0)  # Pillow leaves an open file where it stopped reading


def _without_limit_of_pixels(file: Any, ask: Callable[[Image.Image], Any]) -> Any:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        return _with_pillow(file, ask)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _orientation(picture: Image.Image) -> int:
    # TIFF: both libraries turn the pixels themselves. PNG without EXIF in front of its pixels:
    # asking Pillow would decode the whole file.
    if picture.format == "TIFF" or (picture.format == "PNG" and "exif" not in picture.info):
        return 1
    value = picture.getexif().get(_ORIENTATION_TAG, 1)
    return value if isinstance(value, int) else 1


def _lacks_end(start: bytes, tail: bytes) -> bool:
    is_jpeg, is_png = start.startswith(b"\xff\xd8"), start.startswith(_PNG)
    end = b"\xff\xd9" if is_jpeg else b"IEND"  # looked for from the end, where it should stand
    return (is_jpeg or is_png) and tail.rfind(end) < 0


def _breaks_off(file: Any) -> bool:
    """The thorough look, for files with something behind their end."""
    file.seek(0)
    content = file.read()
    if content.startswith(b"\xff\xd8"):  # a marker may also be that of a thumbnail: decode
        no_end = b"\xff\xd9" not in content
        return no_end or isinstance(_with_pillow(file, lambda picture: picture.load()), str)
    return b"IEND" not in content


def _tail(file: Any) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    return file.read()


def _facts_by_decoding(file: Any, facts: _Facts | None) -> _Facts:
    """The facts with the size that OpenCV decodes.

    Args:
        facts: what Pillow said, None where it does not know the format.
    """
    if facts:
        _check_number_of_pixels(*facts.stored)
    data = np.frombuffer(file.read(), np.uint8)
    image = decode(data, cv2.IMREAD_UNCHANGED)
    if image is None and facts:
        raise ValueError(f"a {facts.format} picture, which is not read: convert it to PNG or JPEG")
    if image is None:
        raise ValueError(undecodable(data))
    size = int(image.shape[0]), int(image.shape[1])
    return facts._replace(stored=size) if facts else _Facts(None, size, 1, False)
