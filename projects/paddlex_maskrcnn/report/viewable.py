"""Pictures to look at, of any depth and number of channels.

Pixels of 8 bits stay as they are. Other values are stretched from the lowest to the highest of the
picture, so that 12 bits in a file for 16 can be seen. Of more than three channels the first three
are shown, of two the first one.
"""

import os
from pathlib import Path

import numpy as np

from ..data.image_headers import Size, load_array
from ..data.images import as_image, read_image


def read_viewable(path: str | os.PathLike[str], size: Size | None = None) -> np.ndarray:
    """A file as (H, W, 3) uint8 in BGR order.

    Args:
        size: (height, width) that a record says, as in `read_image`.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is not a picture.
    """
    if Path(path).suffix.lower() != ".npy":
        return eight_bits(read_image(path, "BGR", size=size, keep_values=True))
    array = load_array(Path(path))
    colors = array[:, :, 2::-1] if array.ndim == 3 and array.shape[2] >= 3 else array
    shown = colors if colors.ndim == 2 or colors.shape[2] == 3 else colors[:, :, 0]
    return eight_bits(as_image(shown, "BGR", keep_values=True))


def eight_bits(image: np.ndarray) -> np.ndarray:
    """Pixels of any type as uint8."""
    if image.dtype == np.uint8:
        return image
    finite = np.nan_to_num(image.astype(np.float64), posinf=0, neginf=0)
    low, high = finite.min(), finite.max()
    return np.rint((finite - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
