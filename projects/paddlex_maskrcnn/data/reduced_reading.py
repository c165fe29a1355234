"""Large JPEG files decoded at a half, a quarter or an eighth of their size.

What: a JPEG file can be decoded at a fraction of its scale in a fraction of the time (libjpeg's
scaled inverse DCT, through OpenCV). Where the operators shrink an image to one half or less anyway,
training reads it that way. Each pixel of the smaller picture stands for a whole square of the
file's, so a point moves from x to x / factor exactly. Where the size is no multiple of the factor,
the last pixels reach over the border of the file; points still move by the factor, not by the ratio
of the rounded sizes.
Difference to reading in full: the decoder averages pixels instead of the resize. Evaluation and
prediction always read in full.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fvcore.transforms.transform import Transform

from .image_headers import decode, file_bytes, read_header, swaps_sides
from .images import turned
from .transforms.operator import Operator
from .transforms.resize import picked
from .transforms.sample import Annotation

_FLAGS = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_JPEG = b"\xff\xd8\xff"
_TURNED_LEFT_TO_RIGHT, _TURNED_UPSIDE_DOWN = (2, 3, 6, 7), (3, 4, 7, 8)  # EXIF orientations


class Reduction(Transform):
    """Every square of pixels becomes a single pixel."""

    def __init__(
        self, factor: int, size: tuple[int, int], offset: tuple[int, int] = (0, 0)
    ) -> None:
        """Set up the squares.

        Args:
            factor: side of a square in pixels.
            size: (height, width) in pixels before.
            offset: (y, x), how far the first squares reach over the border, in pixels; the last
                ones do otherwise.
        """
        super().__init__()
        self.factor, self.size, self.offset = factor, size, offset

    @property
    def new_size(self) -> tuple[int, int]:
        """(height, width) in pixels after."""
        return -(-self.size[0] // self.factor), -(-self.size[1] // self.factor)

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """The mean of each square, with the border repeated outside; the decoder does it faster."""
        spare = [
            (before, new * self.factor - old - before)
            for old, new, before in zip(self.size, self.new_size, self.offset, strict=True)
        ]
        padded = np.pad(img, [*spare, (0, 0)], mode="edge").astype(np.float64)
        rows, columns = self.new_size
        squares = padded.reshape(rows, self.factor, columns, self.factor, -1)
        return np.round(squares.mean(axis=(1, 3))).astype(img.dtype)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Scale points by the factor alone."""
        return (coords + self.offset[::-1]) / self.factor

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(H, W) by the pixel in the middle of each square."""
        return picked(segmentation, self._middles(0), self._middles(1))

    def _middles(self, axis: int) -> np.ndarray:
        middles = np.arange(self.new_size[axis]) * self.factor + self.factor // 2
        return np.clip(middles - self.offset[axis], 0, self.size[axis] - 1)

    def apply_annotation(self, annotation: Annotation) -> None:
        """Scale an object; its box stays around it."""
        annotation.move(self, keeps_tight=True)


def reduction_factor(operators: Sequence[Operator], height: int, width: int) -> int:
    """1, 2, 4 or 8: how much smaller an image may be read, so that no operator has to enlarge it.

    Args:
        height: of the image in the file, in pixels; width likewise.
    """
    size: tuple[int, int] | None = (height, width)
    for operator in operators:
        assert size is not None
        zoom = operator.largest_zoom(*size)
        if zoom is not None:
            return max([factor for factor in _FLAGS if factor * zoom <= 1], default=1)
        size = operator.smallest_size(*size)
        if size is None:
            break
    return 1  # nothing resizes, or something before it needs the pixels of the file


def read_reduced(
    record: Mapping[str, Any], operators: Sequence[Operator], image_format: str
) -> tuple[np.ndarray, Reduction] | None:
    """Read a large JPEG file smaller.

    Args:
        record: with file_name, height and width.
        operators: what is going to be done to the image.
        image_format: 'RGB' or 'BGR'.

    Returns:
        (H, W, 3) uint8 and what was done to it; None if the file has to be read in full, because it
        is small, no JPEG, or not what the record says (the full reader then says what is wrong).
    """
    size = record["height"], record["width"]
    factor = reduction_factor(operators, *size)
    path = Path(record["file_name"])
    if factor == 1 or path.suffix.lower() == ".npy":
        return None
    try:
        data, header = file_bytes(path), read_header(path)
    except (OSError, ValueError):
        return None
    if data[:3].tobytes() != _JPEG or not header.fits(size):
        return None
    orientation = header.orientation
    if swaps_sides(orientation) and size != header.upright:
        orientation = 1  # the annotations were made for the pixels as they are stored
    image = decode(data, _FLAGS[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
    reduction = Reduction(factor, size, _offset(orientation, size, factor))
    if image is None or turned(image, orientation).shape[:2] != reduction.new_size:
        return None
    if image_format == "RGB":
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(turned(image, orientation)), reduction


def _offset(orientation: int, size: tuple[int, int], factor: int) -> tuple[int, int]:
    """How far the first squares reach over the border: the spare part is at the end of the file."""
    height, width = size
    spare_y = -height % factor if orientation in _TURNED_UPSIDE_DOWN else 0
    spare_x = -width % factor if orientation in _TURNED_LEFT_TO_RIGHT else 0
    return spare_y, spare_x
