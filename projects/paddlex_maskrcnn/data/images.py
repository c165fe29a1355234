"""Reading pictures: any depth and number of channels, the same pixels with OpenCV 4 and 5.

EXIF orientation is read with Pillow and applied here, because OpenCV's own handling depends on its
version, on the file format and on the flags. The upright size that `read_header` returns is
therefore always the size of what `read_image` returns, unless it was asked for another: annotations
that were made for the pixels as they are stored need those.

Depth: 8 bits come as uint8. Without a range of their own, pixels are 0 to 255: 16 bits of three channels
are scaled by 1/257, and every other depth (int16, int32, float, 16 bits of another number of channels)
keeps its values as float32, if these can be pixels of 0 to 255; otherwise it is refused with its range.
With a range that Normalize declares, all depths but 8 bits keep their values as float32.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .image_headers import (
    Size,
    decode,
    file_bytes,
    is_cut_off,
    load_array,
    orientation_of,
    swaps_sides,
    undecodable,
)
from .tiff import MAGIC as TIFF_MAGIC
from .tiff import first_page

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".npy")
IMAGE_FORMATS = ("RGB", "BGR")
_PACKED = (10, 12, 14)  # bits of a sample that OpenCV shifts up to 16
# what may lie outside of 0 to 255: resampling goes beyond the range that it began with
_OVERSHOOT = 64
_STANDARDISED = 16  # pixels below zero and never above this are (value - mean) / std


def read_image(
    path: str | os.PathLike[str],
    image_format: str,
    num_channels: int = 3,
    size: Size | None = None,
    keep_values: bool = False,
    as_stored: bool = False,
) -> np.ndarray:
    """Read a picture as an HWC array.

    Args:
        image_format: 'RGB' or 'BGR', the order of the colours; images with neither three nor four
            channels stay in the order of the file.
        num_channels: three converts grey and drops alpha; any other number must be what the
            file has (PNG, TIFF with channels or pages, NPY).
        size: (height, width) that a record says; a picture that has it only without its EXIF
            orientation applied is returned as it is stored. Checking it is left to the caller.
        keep_values: all but 8 bits as float32 with the values of the file, for a Normalize that
            declares their range, instead of as pixels of 0 to 255.
        as_stored: leave EXIF orientation alone, whatever `size` says.

    Returns:
        (H, W, num_channels), uint8 or float32, see the module's text.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a picture, is cut off, has another number of channels, values that
            are no pixels of 0 to 255 without keep_values, or is stored in a way that is not read.
    """
    _check_format(image_format)
    path = Path(path)
    what = f"image {str(path)!r}"
    if path.suffix.lower() == ".npy":
        array = load_array(path)
        return _arranged(array, "RGB", image_format, num_channels, what, keep_values)
    data = file_bytes(path)
    if is_cut_off(data):
        raise ValueError(f"{what} cannot be decoded: the file is cut off, its end is missing")
    image, stored = decode_picture(data, num_channels, keep_values)
    if image is None:
        raise ValueError(f"{what} cannot be decoded: {undecodable(data)}")
    if not as_stored:
        image = turned(image, _orientation(data, image.shape, size))
    return _arranged(image, stored, image_format, num_channels, what, keep_values)


def as_image(
    image: np.ndarray, image_format: str, num_channels: int = 3, keep_values: bool = False
) -> np.ndarray:
    """Bring an array as OpenCV gives it (HWC, blue first, or 2-D grey) into model order.

    Args:
        keep_values: as in `read_image`.

    Raises:
        ValueError: if its shape, type or number of channels does not fit.
    """
    _check_format(image_format)
    if not isinstance(image, np.ndarray) or image.ndim not in (2, 3) or 0 in image.shape:
        what = getattr(image, "shape", type(image).__name__)
        raise ValueError(
            f"image array must have shape (H, W) or (H, W, channels), got {what}"
            + ("; batch_predict takes a list of images" if getattr(image, "ndim", 0) == 4 else "")
        )
    if image.dtype.kind not in "uif":
        raise ValueError(
            f"image array must hold numbers of 0 to 255, got dtype {image.dtype}"
            + ("; multiply by 255" if image.dtype.kind == "b" else "")
        )
    return _arranged(image, "BGR", image_format, num_channels, "image array", keep_values)


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W, ...) turned upright, as an EXIF orientation says."""
    if swaps_sides(orientation):
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


def resized_size(height: int, width: int, short_size: int, max_size: int) -> tuple[int, int]:
    """(height, width) in pixels that `ResizeByShort` makes of an image."""
    scale = short_size / min(height, width)
    if max_size > 0 and round(scale * max(height, width)) > max_size:
        scale = max_size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _check_format(image_format: str) -> None:
    if image_format not in IMAGE_FORMATS:
        raise ValueError(f"image_format must be 'RGB' or 'BGR', got {image_format!r}")


def decode_picture(
    data: np.ndarray, num_channels: int, keep_values: bool = False
) -> tuple[np.ndarray | None, str]:
    """Pixels as they are stored, None where they cannot be decoded, and the order of their colours.

    The decoder of everything: training, prediction, `check`, the service.

    Args:
        data: (n,) uint8, the bytes of a file.
        num_channels: as in `read_image`, keep_values likewise.
    """
    page = first_page(io.BytesIO(data.tobytes())) if _is_tiff(data) else None
    if page is not None and page.refusal:
        return None, "BGR"
    image, order = _decoded(data, num_channels)
    if image is not None and page is not None and page.bits in _PACKED and keep_values:
        image = _unpacked(image, page.bits)
    return image, order


def _decoded(data: np.ndarray, num_channels: int) -> tuple[np.ndarray | None, str]:
    if num_channels != 3:
        return _decode_channels(data, num_channels)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    image = decode(data, flags)
    if image is None and _is_tiff(data):  # grey of 32 bits or more, which it does not make coloured
        image = decode(data, cv2.IMREAD_UNCHANGED)
    return image, "BGR"


def _is_tiff(data: np.ndarray) -> bool:
    return data[:4].tobytes() in TIFF_MAGIC


def _unpacked(image: np.ndarray, bits: int) -> np.ndarray:
    """Values of so many bits, which OpenCV shifts up to fill 16."""
    shift = 16 - bits
    is_shifted = image.dtype == np.uint16 and not (image & ((1 << shift) - 1)).any()
    return image >> shift if is_shifted else image


def _decode_channels(data: np.ndarray, num_channels: int) -> tuple[np.ndarray | None, str]:
    """Decode without conversion: every channel, or every page of a TIFF as a channel.

    Returns:
        the pixels and the order of their colours.
    """
    image = decode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        return None, "BGR"
    if num_channels in (2, 4) and image.dtype == np.uint8:
        # OpenCV loses or multiplies grey's alpha, and multiplies a TIFF's colours by alpha.
        exact = _with_alpha(data, {2: "LA", 4: "RGBA"}[num_channels])
        if exact is not None:
            return exact, "RGB"
    if _channels(image) == 1 != num_channels and _is_tiff(data):
        pages = _pages(data)
        if pages is None:
            return None, "BGR"
        if len(pages) == num_channels and len({page.shape for page in pages}) == 1:
            return np.dstack(pages), "RGB"
    return image, "BGR"


def _pages(data: np.ndarray) -> Sequence[np.ndarray] | None:
    """The pages of a TIFF; None when one of them is damaged."""
    try:
        return cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED)[1]
    except cv2.error:
        return None


def _with_alpha(data: np.ndarray, mode: str) -> np.ndarray | None:
    """The picture as Pillow reads it, if it has this mode."""
    try:
        with Image.open(io.BytesIO(data.tobytes())) as picture:
            return np.asarray(picture) if picture.mode == mode else None
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None


def _channels(image: np.ndarray) -> int:
    return 1 if image.ndim == 2 else image.shape[2]


def _orientation(data: np.ndarray, stored: tuple[int, ...], size: Size | None) -> int:
    """How to turn the stored pixels: not at all where their size is the one that was asked for."""
    orientation = orientation_of(data)
    as_stored = size is not None and size == stored[:2] and size != stored[1::-1]
    return 1 if as_stored and swaps_sides(orientation) else orientation


def _arranged(
    image: np.ndarray,
    stored: str,
    image_format: str,
    num_channels: int,
    what: str,
    keep_values: bool = False,
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
            + ("; channels come last: transpose(1, 2, 0)" if image.shape[0] == num_channels else "")
        )
    image = np.ascontiguousarray(_depth(image, num_channels, keep_values, what))
    return image if stored == image_format else _swap_red_blue(image)


def _depth(image: np.ndarray, num_channels: int, keep_values: bool, what: str) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    fault = "" if keep_values else pixel_fault(image, num_channels, keep_values)
    if fault:
        raise ValueError(f"{what} {fault}")
    if _is_scaled(image, num_channels, keep_values):
        # 257 = 65535 / 255: white stays white
        return np.round(image / 257.0).astype(np.uint8)
    with np.errstate(over="ignore"):  # float64 above the range of float32 becomes infinite
        return image.astype(np.float32)


def _is_scaled(image: np.ndarray, num_channels: int, keep_values: bool) -> bool:
    # the order of bytes, which a NumPy array may have either way, is no part of the type
    return num_channels == 3 and not keep_values and image.dtype.newbyteorder("=") == np.uint16


def pixel_fault(image: np.ndarray, num_channels: int, keep_values: bool) -> str:
    """Why the values of an array are no pixels, as `range_fault` says it.

    Args:
        num_channels: as in `read_image`, keep_values likewise.
    """
    if image.dtype == np.uint8 or _is_scaled(image, num_channels, keep_values):
        return ""
    # of float64 some can be finite that float32 has no numbers for
    low, high = (float(np.float32(limit)) for limit in pixel_limits(image))
    return range_fault(str(image.dtype.newbyteorder("=")), low, high, keep_values)


def pixel_limits(image: np.ndarray) -> tuple[float, float]:
    """The smallest and largest value, NaN where there is one."""
    with np.errstate(invalid="ignore"):
        return float(image.min()), float(image.max())


def range_fault(depth: str, low: float, high: float, keep_values: bool) -> str:
    """Why values of a depth other than 8 bits are no pixels, in words after "image ..."; empty if they are.

    Args:
        low: the smallest value, NaN where one of them is; high likewise the largest.
        keep_values: as in `read_image`.
    """
    if not np.isfinite([low, high]).all():
        return (
            f"has {depth} pixels that are NaN or infinite: give them a value, such as with "
            "numpy.nan_to_num"
        )
    if keep_values or _are_bytes(depth, low, high):
        return ""
    return (
        f"has {depth} values from {low:g} to {high:g}, where pixels of 0 to 255 are expected: convert it to "
        "8 bits (values from 0 to 1: times 255), or give Normalize the range, min_val and max_val, that "
        "yours have"
    )


def _are_bytes(depth: str, low: float, high: float) -> bool:
    """Whether values can be pixels of 0 to 255; zeros alone can."""
    if not depth.startswith("float"):
        return low >= 0 and high <= 255
    if low == high == 0:
        return True
    is_standardised = low < 0 and high <= _STANDARDISED
    return high > 1 and not is_standardised and low >= -_OVERSHOOT and high <= 255 + _OVERSHOOT


def blue_first(image: np.ndarray) -> np.ndarray:
    """An array with red first as OpenCV would have it; alpha stays the last."""
    return _swap_red_blue(image) if image.ndim == 3 else image


def _swap_red_blue(image: np.ndarray) -> np.ndarray:
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image.shape[2] == 4:
        return np.ascontiguousarray(image[:, :, [2, 1, 0, 3]])
    return image
