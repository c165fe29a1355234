"""Reading pictures: any depth and number of channels, the same pixels with OpenCV 4 and 5.

EXIF orientation is read with Pillow and applied here, because OpenCV's own handling depends on its
version, on the file format and on the flags. The size that `image_size` reads from the header is
therefore always the size of what `read_image` returns.

Depth: three-channel images come as uint8 (16 bits are scaled by 1/257, floats are kept as they
are); images with another number of channels keep their values, as float32 unless they are uint8,
so that Normalize can be given their range.
"""

import io
import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".npy")
IMAGE_FORMATS = ("RGB", "BGR")

_ORIENTATION_TAG = 274
_SWAPS_SIDES = (5, 6, 7, 8)


def read_image(
    path: str | os.PathLike[str], image_format: str, num_channels: int = 3
) -> np.ndarray:
    """Read a picture as an HWC array.

    Args:
        image_format: 'RGB' or 'BGR', the order of the colours; images with neither three nor four
            channels stay in the order of the file.
        num_channels: three converts grey and drops alpha; any other number must be what the
            file has (PNG, TIFF with channels or pages, NPY).

    Returns:
        (H, W, num_channels), uint8 or float32, see the module's text.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a picture or has another number of channels.
    """
    _check_format(image_format)
    path = Path(path)
    what = f"image {str(path)!r}"
    if path.suffix.lower() == ".npy":
        return _arranged(_load_array(path), "RGB", image_format, num_channels, what)
    data = np.fromfile(path, np.uint8)
    if num_channels == 3:
        stored = "BGR"
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        image = _decode(data, flags)
    else:
        image, stored = _decode_channels(data, num_channels)
    if image is None:
        raise ValueError(f"{what} cannot be decoded: not a picture, or damaged")
    image = _upright(image, _orientation_of(data))
    return _arranged(image, stored, image_format, num_channels, what)


def as_image(image: np.ndarray, image_format: str, num_channels: int = 3) -> np.ndarray:
    """Bring an array as OpenCV gives it (HWC, blue first, or 2-D grey) into model order.

    Raises:
        ValueError: if its shape, type or number of channels does not fit.
    """
    _check_format(image_format)
    if not isinstance(image, np.ndarray) or image.ndim not in (2, 3) or 0 in image.shape:
        what = getattr(image, "shape", type(image).__name__)
        raise ValueError(f"image array must have shape (H, W) or (H, W, channels), got {what}")
    if image.dtype.kind not in "uif":
        raise ValueError(f"image array must hold numbers, got dtype {image.dtype}")
    return _arranged(image, "BGR", image_format, num_channels, "image array")


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(height, width) of the picture that `read_image` would return, mostly from its header.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a picture.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        height, width = _load_array(path).shape[:2]
        return int(height), int(width)
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            turned = _orientation(picture) in _SWAPS_SIDES
    except Image.UnidentifiedImageError:
        return _size_by_decoding(path)
    except (Image.DecompressionBombError, SyntaxError) as error:
        raise ValueError(str(error)) from error
    return (width, height) if turned else (height, width)


def _check_format(image_format: str) -> None:
    if image_format not in IMAGE_FORMATS:
        raise ValueError(f"image_format must be 'RGB' or 'BGR', got {image_format!r}")


def _load_array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"image {str(path)!r} is not a NumPy array: {error}") from error
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(f"image {str(path)!r} must have shape (H, W[, C]), has {array.shape}")
    return array


def _decode(data: np.ndarray, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(data, flags)
    except cv2.error:  # OpenCV raises for an empty buffer and returns None for the rest
        return None


def _decode_channels(data: np.ndarray, num_channels: int) -> tuple[np.ndarray | None, str]:
    """Decode without conversion: every channel, or every page of a TIFF as a channel.

    Returns:
        the pixels and the order of their colours.
    """
    image = _decode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        return None, "BGR"
    if num_channels in (2, 4) and image.dtype == np.uint8:
        # OpenCV loses or multiplies grey's alpha, and multiplies a TIFF's colours by alpha.
        exact = _with_alpha(data, {2: "LA", 4: "RGBA"}[num_channels])
        if exact is not None:
            return exact, "RGB"
    if _channels(image) == 1 != num_channels and data[:2].tobytes() in (b"II", b"MM"):
        _, pages = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED)
        if len(pages) == num_channels and len({page.shape for page in pages}) == 1:
            return np.dstack(pages), "RGB"
    return image, "BGR"


def _with_alpha(data: np.ndarray, mode: str) -> np.ndarray | None:
    """The picture as Pillow reads it, if it has this mode."""
    try:
        with Image.open(io.BytesIO(data.tobytes())) as picture:
            return np.asarray(picture) if picture.mode == mode else None
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None


def _channels(image: np.ndarray) -> int:
    return 1 if image.ndim == 2 else image.shape[2]


def _orientation_of(data: np.ndarray) -> int:
    try:
        with Image.open(io.BytesIO(memoryview(data))) as picture:  # type: ignore[arg-type]
            return _orientation(picture)
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return 1  # what only OpenCV can read has no EXIF that we know of


def _orientation(picture: Image.Image) -> int:
    # TIFF: both libraries turn the pixels themselves. PNG without EXIF in front of its pixels:
    # asking Pillow would decode the whole file.
    if picture.format == "TIFF" or (picture.format == "PNG" and "exif" not in picture.info):
        return 1
    return picture.getexif().get(_ORIENTATION_TAG, 1)


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in _SWAPS_SIDES:
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


def _size_by_decoding(path: Path) -> tuple[int, int]:
    image = _decode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("not a picture, or damaged")
    return int(image.shape[0]), int(image.shape[1])


def _arranged(
    image: np.ndarray, stored: str, image_format: str, num_channels: int, what: str
) -> np.ndarray:
    """Number, order and depth of channels as asked."""
    if image.ndim == 2:
        image = image[:, :, None]
    if num_channels == 3 and image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    elif num_channels == 3 and image.shape[2] == 4:
        image = image[:, :, :3]
    if image.shape[2] != num_channels:
        raise ValueError(
            f"{what} has {image.shape[2]} channels, but the model takes {num_channels} "
            f"(input_channel)"
        )
    image = np.ascontiguousarray(_depth(image, num_channels))
    return image if stored == image_format else _swap_red_blue(image)


def _depth(image: np.ndarray, num_channels: int) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16 and num_channels == 3:
        return np.round(image / 257.0).astype(np.uint8)
    return image.astype(np.float32)


def _swap_red_blue(image: np.ndarray) -> np.ndarray:
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image.shape[2] == 4:
        return np.ascontiguousarray(image[:, :, [2, 1, 0, 3]])
    return image
