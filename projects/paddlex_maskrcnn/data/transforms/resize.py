"""Sizes: resizing, large-scale jitter and padding.

`ResizeByShort` and `Resize` have PaddleX's rules for the size to the pixel, and coordinates as
Detectron2's ResizeTransform. Differences: images stay uint8 while they are resized, boxes and masks
follow (PaddleX's `Resize` left them behind), and shrinking below one half averages areas (INTER_AREA),
where plain bilinear interpolation skips pixels and flickers.

`LargeScaleJitter`: Ghiasi et al., "Simple copy-paste is a strong data augmentation method for instance
segmentation", CVPR 2021; Detectron2's ResizeScale and FixedSizeCrop, their sizes and offset to the
pixel. Difference: the area around is filled with the mean colour instead of grey, so that the network
sees zeros there.

`Padding` is PaddleX's. Difference: the operator declares the size and the model pads its batch with the
value that is zero after normalisation; PaddleX wrote zeros into each image. When both arguments are
given, target_size wins, as in PaddleX's code (its docstring says otherwise).
"""

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform, TransformList

from ...config.operator_params import (
    LargeScaleJitterParams,
    PaddingParams,
    ResizeByShortParams,
    ResizeParams,
)
from ...config.signature import takes_params
from ..images import resized_size
from .crop import Crop, Pad
from .operator import ImageContext, Operator

INTERPOLATIONS = {
    "NEAREST": cv2.INTER_NEAREST,
    "LINEAR": cv2.INTER_LINEAR,
    "CUBIC": cv2.INTER_CUBIC,
    "AREA": cv2.INTER_AREA,
    "LANCZOS4": cv2.INTER_LANCZOS4,
}

_AREA_BELOW = 0.5
_MOST_CHANNELS = 4  # that OpenCV averages over areas at once


class ResizeByShort(Operator, d2.Augmentation):
    """Resize so that the short side has `short_size` pixels and the long one at most `max_size`."""

    @takes_params(ResizeByShortParams, "ResizeByShort")
    def __init__(self, params: ResizeByShortParams) -> None:
        self.short_size = params.short_size
        self.max_size = params.max_size

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draw the length for this image."""
        height, width = image.shape[:2]
        lengths = self.short_size
        length = lengths if isinstance(lengths, int) else lengths[np.random.randint(len(lengths))]
        new_height, new_width = resized_size(height, width, length, self.max_size)
        return resizing(height, width, new_height, new_width)

    def deterministic(self) -> "ResizeByShort":
        """Prediction uses the largest of several lengths."""
        return (
            self
            if isinstance(self.short_size, int)
            else ResizeByShort(self._longest, self.max_size)
        )

    def largest_zoom(self, height: int, width: int) -> float:
        """With the largest of several lengths."""
        new_height, new_width = resized_size(height, width, self._longest, self.max_size)
        return max(new_height / height, new_width / width)

    @property
    def _longest(self) -> int:
        return self.short_size if isinstance(self.short_size, int) else max(self.short_size)


class Resize(Operator, d2.Augmentation):
    """Resize to a fixed size, whatever the shape."""

    @takes_params(ResizeParams, "Resize")
    def __init__(self, params: ResizeParams) -> None:
        self.target_size = params.target_size
        self.interp = params.interp

    def get_transform(self, image: np.ndarray) -> Transform:
        """Resize, with an interpolation drawn for this image if it is to be random."""
        name = self.interp
        if name == "RANDOM":
            name = list(INTERPOLATIONS)[np.random.randint(len(INTERPOLATIONS))]
        width, height = width_and_height(self.target_size)
        method = None if name == "LINEAR" else INTERPOLATIONS[name]
        return resizing(image.shape[0], image.shape[1], height, width, method)

    def deterministic(self) -> "Resize":
        """Prediction interpolates linearly where training draws a method."""
        return Resize(self.target_size) if self.interp == "RANDOM" else self

    def largest_zoom(self, height: int, width: int) -> float:
        """Of the side that shrinks least."""
        new_width, new_height = width_and_height(self.target_size)
        return max(new_height / height, new_width / width)


def width_and_height(size: int | list[int]) -> tuple[int, int]:
    """(width, height) in pixels of a parameter that takes a side or both."""
    width, height = (size, size) if isinstance(size, int) else size
    return width, height


def resizing(
    height: int, width: int, new_height: int, new_width: int, interp: int | None = None
) -> Transform:
    """The transform from one size to another, none if they are the same."""
    if (new_height, new_width) == (height, width):
        return d2.NoOpTransform()
    return OpenCVResize(height, width, new_height, new_width, interp)


class OpenCVResize(d2.ResizeTransform):
    """Detectron2's resize with OpenCV's interpolation, for any depth and number of channels."""

    def __init__(self, h: int, w: int, new_h: int, new_w: int, interp: int | None = None) -> None:
        """Keep the sizes.

        Args:
            h: height in pixels before.
            w: width in pixels before.
            new_h: height in pixels after.
            new_w: width in pixels after.
            interp: an OpenCV constant, chosen by scale if None.
        """
        super().__init__(h, w, new_h, new_w)
        self.method = interp

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """Resize (H, W) or (H, W, C); `interp` is an OpenCV constant that wins over the own one."""
        assert img.shape[:2] == (self.h, self.w), (img.shape, self.h, self.w)
        method = self.method if interp is None else interp
        if method is None:
            shrinks = min(self.new_h / self.h, self.new_w / self.w) < _AREA_BELOW
            method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        parts = -(-img.shape[2] // _MOST_CHANNELS) if img.ndim == 3 else 1
        groups = np.array_split(img, parts, axis=-1) if parts > 1 else [img]
        resized = [self._resize(group, method) for group in groups]
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
        return picked(segmentation, _nearest(self.h, self.new_h), _nearest(self.w, self.new_w))

    def inverse(self) -> "OpenCVResize":
        """The resize back."""
        return OpenCVResize(self.new_h, self.new_w, self.h, self.w, self.method)


def picked(mask: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Some rows and columns of a mask, in the order in which they lie in memory.

    Decoded RLE masks lie column by column; going the other way takes ten times as long.
    """
    if abs(mask.strides[0]) < abs(mask.strides[1]):
        return mask.T.take(columns, axis=0).take(rows, axis=1).T
    return mask.take(rows, axis=0).take(columns, axis=1)


def _nearest(length: int, new_length: int) -> np.ndarray:
    """For each new pixel the old one that its centre falls into."""
    return (2 * np.arange(new_length) + 1) * length // (2 * new_length)


class LargeScaleJitter(Operator, d2.Augmentation):
    """Resize by a random factor, then cut or fill up to a fixed size."""

    @takes_params(LargeScaleJitterParams, "LargeScaleJitter")
    def __init__(self, params: LargeScaleJitterParams) -> None:
        self.target_size = params.target_size
        self.min_scale = params.min_scale
        self.max_scale = params.max_scale
        self.fill_value = params.fill_value

    def get_transform(self, image: np.ndarray, context: ImageContext) -> Transform:
        """Draw factor and position for this image."""
        height, width = image.shape[:2]
        scale = np.random.uniform(self.min_scale, self.max_scale)
        fitting = self._fitting_scale(height, width) * scale
        new_size = tuple(max(1, round(side * fitting)) for side in (height, width))
        target_width, target_height = width_and_height(self.target_size)
        target = (target_height, target_width)
        cut_size = tuple(map(min, new_size, target))
        share = np.random.uniform()
        y, x = (round(share * (new - cut)) for new, cut in zip(new_size, cut_size, strict=True))
        return TransformList(
            [
                resizing(height, width, *new_size),
                Crop(x, y, cut_size[1], cut_size[0]),
                Pad(cut_size, target, (0, 0), context.fill(self.fill_value)),
            ]
        )

    def deterministic(self) -> ResizeByShort:
        """Prediction fits the image into the target and does not fill up."""
        width, height = width_and_height(self.target_size)
        return ResizeByShort(min(width, height), max(width, height))

    def check(self, context: ImageContext) -> None:
        """Raise ValueError when the fill colour has another number of channels."""
        context.check_fill("LargeScaleJitter", self.fill_value)

    def largest_zoom(self, height: int, width: int) -> float:
        """With the largest factor."""
        return self._fitting_scale(height, width) * self.max_scale

    def _fitting_scale(self, height: int, width: int) -> float:
        target_width, target_height = width_and_height(self.target_size)
        return min(target_height / height, target_width / width)


class Padding(Operator):
    """Declare the size an image is padded to, right and bottom."""

    @takes_params(PaddingParams, "Padding")
    def __init__(self, params: PaddingParams) -> None:
        self.coarsest_stride = params.coarsest_stride
        self.target_size = params.target_size

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after padding an image of this size, in pixels.

        Raises:
            ValueError: if the image is larger than target_size.
        """
        if self.target_size is None:
            stride = self.coarsest_stride
            return -(-height // stride) * stride, -(-width // stride) * stride
        target_width, target_height = width_and_height(self.target_size)
        if height > target_height or width > target_width:
            raise ValueError(
                f"Padding.target_size is {[target_width, target_height]} (width, height), smaller than the "
                f"image {[width, height]}; resize to a smaller size or enlarge it"
            )
        return target_height, target_width
