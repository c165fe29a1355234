"""Resizing by the short side.

Origin: PaddleX `ResizeByShort`, its rule for the size to the pixel; Detectron2's ResizeTransform
for coordinates. Differences: images stay uint8 while they are resized, boxes and masks follow, and
shrinking below one half averages areas (INTER_AREA), where plain bilinear interpolation skips
pixels and flickers.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from .arguments import check_integer, fail, is_integer
from .operator import Operator

_AREA_BELOW = 0.5
_MOST_CHANNELS = 4  # that OpenCV averages over areas at once


class ResizeByShort(Operator, d2.Augmentation):
    """Resize so that the short side has `short_size` pixels and the long one at most `max_size`."""

    def __init__(self, short_size: int | Sequence[int] = 800, max_size: int = 1333) -> None:
        """Check the arguments.

        Args:
            short_size: length in pixels, or several, of which each image draws one.
            max_size: limit of the long side in pixels; 0 or less for none.

        Raises:
            ValueError: if a length is not whole positive pixels.
        """
        self.short_size = _checked_lengths(short_size)
        if not is_integer(max_size):
            raise fail("ResizeByShort", "max_size", "an integer (0 or less for no limit)", max_size)
        self.max_size = max_size

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draw the length for this image."""
        height, width = image.shape[:2]
        lengths = self.short_size
        length = lengths if isinstance(lengths, int) else lengths[np.random.randint(len(lengths))]
        new_height, new_width = resized_size(height, width, length, self.max_size)
        if (new_height, new_width) == (height, width):
            return d2.NoOpTransform()
        return OpenCVResize(height, width, new_height, new_width)

    def deterministic(self) -> "ResizeByShort":
        """Prediction uses the largest of several lengths."""
        if isinstance(self.short_size, int):
            return self
        return ResizeByShort(max(self.short_size), self.max_size)


def resized_size(height: int, width: int, short_size: int, max_size: int) -> tuple[int, int]:
    """(height, width) in pixels that `ResizeByShort` makes of an image."""
    scale = short_size / min(height, width)
    if max_size > 0 and round(scale * max(height, width)) > max_size:
        scale = max_size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


class OpenCVResize(d2.ResizeTransform):
    """Detectron2's resize with OpenCV's interpolation, for any depth and number of channels."""

    def __init__(self, h: int, w: int, new_h: int, new_w: int) -> None:
        """Keep the sizes.

        Args:
            h: height in pixels before.
            w: width in pixels before.
            new_h: height in pixels after.
            new_w: width in pixels after.
        """
        super().__init__(h, w, new_h, new_w)

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """Resize (H, W) or (H, W, C); `interp` is an OpenCV constant, chosen by scale if None."""
        assert img.shape[:2] == (self.h, self.w), (img.shape, self.h, self.w)
        if interp is None:
            shrinks = min(self.new_h / self.h, self.new_w / self.w) < _AREA_BELOW
            interp = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        parts = -(-img.shape[2] // _MOST_CHANNELS) if img.ndim == 3 else 1
        groups = np.array_split(img, parts, axis=-1) if parts > 1 else [img]
        resized = [self._resize(group, interp) for group in groups]
        return resized[0] if len(resized) == 1 else np.concatenate(resized, axis=-1)

    def _resize(self, img: np.ndarray, interp: int) -> np.ndarray:
        size = (self.new_w, self.new_h)
        resized = cv2.resize(np.ascontiguousarray(img), size, interpolation=interp)
        # OpenCV drops a channel axis of length one.
        return resized.reshape(self.new_h, self.new_w, *img.shape[2:])

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Resize a mask by the pixel whose centre is nearest.

        Not by OpenCV: INTER_NEAREST is half a pixel off, INTER_NEAREST_EXACT differs between 4 and 5.
        """
        rows = _nearest(self.h, self.new_h)
        return segmentation.take(rows, axis=0).take(_nearest(self.w, self.new_w), axis=1)

    def inverse(self) -> "OpenCVResize":
        """The resize back."""
        return OpenCVResize(self.new_h, self.new_w, self.h, self.w)


def _nearest(length: int, new_length: int) -> np.ndarray:
    """For each new pixel the old one that its centre falls into."""
    return (2 * np.arange(new_length) + 1) * length // (2 * new_length)


def _checked_lengths(short_size: int | Sequence[int]) -> int | list[int]:
    if isinstance(short_size, Sequence) and not isinstance(short_size, str) and short_size:
        return [check_integer("ResizeByShort", "short_size", s, 1) for s in short_size]
    if not is_integer(short_size):
        allowed = "an integer >= 1 or a list of such"
        raise fail("ResizeByShort", "short_size", allowed, short_size)
    return check_integer("ResizeByShort", "short_size", short_size, 1)
