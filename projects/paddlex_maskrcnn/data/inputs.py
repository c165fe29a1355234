"""What `predict` may be given: a file's path, an array, a Pillow picture.

All else is named, with what to give instead.
"""

import os
import re
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .images import as_image, blue_first, read_image

_ADDRESS = re.compile(r"(https?|ftps?|s3|gs|az|hdfs|file):/", re.IGNORECASE)
_DIRECT_MODES = ("L", "LA", "RGB", "RGBA", "F")  # whose array has the pixels as they are


def input_pixels(
    given: Any, image_format: str, num_channels: int = 3, keep_values: bool = False
) -> np.ndarray:
    """(H, W, num_channels) of whatever a user gives for an image.

    Args:
        given: a path; an array as OpenCV gives it, (H, W) or (H, W, C) with blue first; or a Pillow picture,
            whose EXIF orientation is applied as that of a file.
        image_format: as in `read_image`, num_channels and keep_values likewise.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is something else, or no picture that can be used.
    """
    if isinstance(given, str | os.PathLike):
        path = os.fsdecode(given)
        check_path(path)
        return read_image(path, image_format, num_channels, keep_values=keep_values)
    if isinstance(given, Image.Image):
        given = blue_first(_of_pillow(given, num_channels))
    if not isinstance(given, np.ndarray):
        raise ValueError(f"an image is {_described(given)}")
    return as_image(given, image_format, num_channels, keep_values)


def check_path(path: str) -> None:
    """Raise ValueError for what no file can be: an address, a folder."""
    if not path:
        raise ValueError("an image is an empty text; give the path of its file")
    if _ADDRESS.match(path):
        raise ValueError(
            f"image {path!r} is an address (URL), not a file: download it first and give the path of the file"
        )
    if path.lower().startswith("data:image/"):
        raise ValueError(
            f"image {path[:30]!r}... is a data URI: decode it with base64, write it into a file and give "
            "its path"
        )
    if os.path.isdir(path):
        raise ValueError(
            f"image {path!r} is a folder: give its files to batch_predict, or use the command predict"
        )


def _of_pillow(picture: Image.Image, num_channels: int) -> np.ndarray:
    """(H, W) or (H, W, C) upright, red first."""
    try:
        # loaded first: that turns a TIFF, and reads what a PNG has behind its pixels
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith("I"):
            # 16 bits have modes I;16, I;16B and, of a PNG in older versions, I
            is_deep = upright.mode != "I" or picture.format == "PNG"
            return np.asarray(upright).astype(np.uint16 if is_deep else np.int32)
        if upright.mode not in _DIRECT_MODES:
            grey, clear = upright.mode in ("1", "La"), "transparency" in upright.info
            upright = upright.convert("L" if grey else "RGBA" if clear else "RGB")
        if upright.mode == "LA" and num_channels == 3:
            upright = upright.convert("L")
        return np.asarray(upright)
    except (OSError, SyntaxError, ValueError) as error:  # damaged, closed, or of a mode without RGB
        raise ValueError(f"the Pillow picture cannot be read: {error}") from error


def _described(given: Any) -> str:
    """What was given, and what to give instead."""
    kind = f"{type(given).__module__}.{type(given).__name__}".removeprefix("builtins.")
    if given is None:
        return "None; OpenCV's imread returns that for a file it cannot read: give the file's path"
    if isinstance(given, bytes | bytearray | memoryview):
        return (
            f"{kind}; give the path of the file, or its pixels: "
            "cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)"
        )
    if isinstance(given, list | tuple):
        return f"a {kind}; batch_predict takes a list of images, each a path, an array or a Pillow picture"
    if hasattr(given, "read"):
        return f"a {kind}, an open file; give its path"
    if kind.startswith("torch.") or hasattr(given, "detach"):
        return (
            f"a {kind}; give an array (H, W, channels) of 0 to 255 with blue first, such as "
            "(tensor.permute(1, 2, 0).flip(2) * 255).byte().cpu().numpy() of a tensor (RGB, H, W) of 0 to 1"
        )
    if hasattr(given, "__array__"):
        return f"a {kind}; give numpy.asarray of it: (H, W, channels) of 0 to 255 with blue first"
    return f"of type {kind}; give a path, an array (H, W, channels) with blue first, or a Pillow picture"
