"""Cutting a rectangle out of an image, and putting an image on a larger ground.

Origin: fvcore's CropTransform and PadTransform. Differences: what leaves the image is cut off the
objects at once, so that padding cannot bring it back; the ground has a colour; objects can be made
to leave with their centre.
"""

from collections.abc import Sequence

import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from .outline import Outline


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

    def follow(self, outline: Outline) -> None:
        """Cut an object, or drop it."""
        if self.centers_only and not outline.is_crowd:
            center = (outline.box[:2] + outline.box[2:]) / 2 - (self.x0, self.y0)
            outline.is_gone = bool((center < 0).any() or (center >= (self.w, self.h)).any())
            if outline.is_gone:
                return
        outline.move(self, keeps_tight=True)
        outline.clip(self.h, self.w)


class Pad(Transform):
    """Put the image on a ground of one colour."""

    def __init__(
        self,
        size: tuple[int, int],
        new_size: tuple[int, int],
        offset: tuple[int, int],
        fill: Sequence[float],
    ) -> None:
        """Keep the places.

        Args:
            size: (height, width) in pixels before.
            new_size: (height, width) after.
            offset: (y, x) of the image's corner on the ground.
            fill: value of each channel of the ground.
        """
        super().__init__()
        self.size, self.new_size, self.offset, self.fill = size, new_size, offset, fill

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W, C) on its ground."""
        ground = np.array(self.fill)
        if img.dtype.kind in "ui":
            limits = np.iinfo(img.dtype)
            ground = np.clip(np.round(ground), limits.min, limits.max)
        canvas = np.empty((*self.new_size, *img.shape[2:]), img.dtype)
        canvas[:] = ground.astype(img.dtype)
        return self._placed(canvas, img)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(H, W) with nothing around it."""
        return self._placed(np.zeros(self.new_size, segmentation.dtype), segmentation)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Shift points."""
        return coords + self.offset[::-1]

    def follow(self, outline: Outline) -> None:
        """Shift an object, of which nothing may stick out over the old border."""
        outline.clip(*self.size)
        outline.move(self, keeps_tight=True)

    def _placed(self, canvas: np.ndarray, img: np.ndarray) -> np.ndarray:
        y, x = self.offset
        canvas[y : y + self.size[0], x : x + self.size[1]] = img
        return canvas
