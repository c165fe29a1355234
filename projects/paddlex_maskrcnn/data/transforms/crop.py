"""Cutting a part out of an image, and putting an image on a larger area.

`RandomCrop` is PaddleX's, after the sampling of SSD (Liu et al., 2016): a part is drawn until the IoU of
a box with it reaches a threshold, and objects stay if the centre of their box is inside. Differences: a
part may be as large as the image (PaddleX stopped with an error there) and may touch its right and lower
border; RLE masks are cut exactly; crowd regions do not count as objects and stay, cut, wherever their
centre is.

`RandomExpand` is PaddleX's, its sizes and offsets. Differences: images of any number of channels, with the
mean of `Normalize` around them unless a colour is given.

The transforms `Crop` and `Pad` are fvcore's. Differences: what leaves the image is cut off the objects at
once, so that padding cannot bring it back; the area around has a colour; objects can be made to leave
with their centre.
"""

from collections.abc import Sequence

import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.operator_params import IMAGENET_MEAN_PIXEL, RandomCropParams, RandomExpandParams
from ...config.signature import takes_params
from .operator import ImageContext, Operator
from .sample import Annotation

Box = tuple[int, int, int, int]  # x, y, width, height
_LEAST = 1.01  # PaddleX leaves smaller ratios alone


class Crop(d2.CropTransform):
    """Keep a rectangle."""

    def __init__(self, x0: int, y0: int, w: int, h: int, centers_only: bool = False) -> None:
        """Keep the rectangle.

        Args:
            x0: left edge in pixels; y0 the upper one.
            w: width in pixels; h the height.
            centers_only: drop objects whose box has its centre outside, even if a part is inside.
        """
        super().__init__(x0, y0, w, h)
        self.centers_only = centers_only

    def apply_annotation(self, annotation: Annotation) -> None:
        """Cut an object, or drop it."""
        if self.centers_only and not annotation.is_crowd:
            center = (annotation.box[:2] + annotation.box[2:]) / 2 - (self.x0, self.y0)
            annotation.is_gone = bool((center < 0).any() or (center >= (self.w, self.h)).any())
            if annotation.is_gone:
                return
        annotation.move(self, keeps_tight=True)
        annotation.clip(self.h, self.w)


class Pad(Transform):
    """Put the image on a larger area of one colour."""

    def __init__(
        self,
        size: tuple[int, int],
        new_size: tuple[int, int],
        offset: tuple[int, int],
        fill: Sequence[float],
    ) -> None:
        """Keep sizes and offset.

        Args:
            size: (height, width) in pixels before.
            new_size: (height, width) after.
            offset: (y, x) of the image's corner in the new one.
            fill: value of each channel around it.
        """
        super().__init__()
        self.size, self.new_size, self.offset, self.fill = size, new_size, offset, fill

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W, C) with the colour around it."""
        fill = np.array(self.fill)
        if img.dtype.kind in "ui":
            limits = np.iinfo(img.dtype)
            fill = np.clip(np.round(fill), limits.min, limits.max)
        canvas = np.empty((*self.new_size, *img.shape[2:]), img.dtype)
        canvas[:] = fill.astype(img.dtype)
        return self._inserted(canvas, img)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(H, W) with nothing around it."""
        return self._inserted(np.zeros(self.new_size, segmentation.dtype), segmentation)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Shift points."""
        return coords + self.offset[::-1]

    def apply_annotation(self, annotation: Annotation) -> None:
        """Shift an object, of which nothing may stick out over the old border."""
        annotation.clip(*self.size)
        annotation.move(self, keeps_tight=True)

    def _inserted(self, canvas: np.ndarray, img: np.ndarray) -> np.ndarray:
        y, x = self.offset
        canvas[y : y + self.size[0], x : x + self.size[1]] = img
        return canvas


class RandomCrop(Operator, d2.Augmentation):
    """Cut a part out of an image with objects."""

    @takes_params(RandomCropParams, "RandomCrop")
    def __init__(self, params: RandomCropParams) -> None:
        self.aspect_ratio = params.aspect_ratio
        self.thresholds = params.thresholds
        self.scaling = params.scaling
        self.num_attempts = params.num_attempts
        self.allow_no_crop = params.allow_no_crop
        self.cover_all_box = params.cover_all_box

    def get_transform(self, image: np.ndarray, boxes: np.ndarray) -> Transform:
        """Draw a part for this image; images without objects stay whole."""
        part = self._draw(image.shape[0], image.shape[1], boxes) if len(boxes) else None
        return d2.NoOpTransform() if part is None else Crop(*part, centers_only=True)

    def deterministic(self) -> None:
        """Prediction does not cut."""
        return

    def smallest_size(self, height: int, width: int) -> tuple[int, int]:
        """At the smallest scale and the extreme aspect ratios."""
        scale, (narrow, wide) = self.scaling[0], self.aspect_ratio
        sides = height * scale / wide**0.5, width * scale * narrow**0.5
        return max(1, int(sides[0])), max(1, int(sides[1]))

    def _draw(self, height: int, width: int, boxes: np.ndarray) -> Box | None:
        choices: list[float | None] = [*self.thresholds, *([None] if self.allow_no_crop else [])]
        for choice in np.random.permutation(len(choices)):
            threshold = choices[choice]
            if threshold is None:
                return None
            for _ in range(self.num_attempts):
                part = self._draw_part(height, width)
                if self._shows_enough(part, boxes, threshold):
                    return part
        return None

    def _draw_part(self, height: int, width: int) -> Box:
        scale = np.random.uniform(self.scaling[0], self.scaling[1])
        lowest, highest = self.aspect_ratio
        # Beyond these limits the part would be larger than the image.
        ratio = np.random.uniform(max(lowest, scale**2), min(highest, scale**-2))
        part_height = max(1, int(height * scale / np.sqrt(ratio)))
        part_width = max(1, int(width * scale * np.sqrt(ratio)))
        y = np.random.randint(0, height - part_height + 1)
        x = np.random.randint(0, width - part_width + 1)
        return x, y, part_width, part_height

    def _shows_enough(self, part: Box, boxes: np.ndarray, threshold: float) -> bool:
        x, y, width, height = part
        low, high = np.array([x, y]), np.array([x + width, y + height])
        overlap = np.clip(np.minimum(boxes[:, 2:], high) - np.maximum(boxes[:, :2], low), 0, None)
        shared = overlap.prod(axis=1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        iou = shared / (areas + width * height - shared)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        is_inside = ((low <= centers) & (centers < high)).all(axis=1)
        worst_that_counts = iou.min() if self.cover_all_box else iou.max()
        return bool(worst_that_counts >= threshold and is_inside.any())


class RandomExpand(Operator, d2.Augmentation):
    """Put an image with objects on an area up to `ratio` times as wide and high."""

    @takes_params(RandomExpandParams, "RandomExpand")
    def __init__(self, params: RandomExpandParams) -> None:
        self.ratio = params.ratio
        self.prob = params.prob
        self.fill_value = params.fill_value

    def get_transform(
        self, image: np.ndarray, boxes: np.ndarray, context: ImageContext
    ) -> Transform:
        """Draw size and position for this image."""
        if not len(boxes) or self.ratio < _LEAST or np.random.random() >= self.prob:
            return d2.NoOpTransform()
        height, width = image.shape[:2]
        ratio = np.random.uniform(1, self.ratio)
        new_height, new_width = int(height * ratio), int(width * ratio)
        y = int(np.random.uniform(0, new_height - height))
        x = int(np.random.uniform(0, new_width - width))
        return Pad(
            (height, width), (new_height, new_width), (y, x), context.fill(self._fill(context))
        )

    def deterministic(self) -> None:
        """Prediction does not expand."""
        return

    def check(self, context: ImageContext) -> None:
        """Raise ValueError when the fill colour has another number of channels."""
        context.check_fill("RandomExpand", self._fill(context))

    def _fill(self, context: ImageContext) -> list[float] | None:
        is_default = self.fill_value == list(IMAGENET_MEAN_PIXEL)
        fits = context.num_channels == 3 and not context.keeps_values
        return None if is_default and not fits else self.fill_value
