"""Large-scale jitter.

What: resize by a factor from a wide range around a fixed size, then cut or fill up to that size.
Paper: Ghiasi et al., "Simple copy-paste is a strong data augmentation method for instance
segmentation", CVPR 2021. Origin: Detectron2's ResizeScale and FixedSizeCrop, their sizes and offset
to the pixel. Difference: the ground is the mean colour instead of grey, so that the network sees
zeros there.
"""

from collections.abc import Sequence

import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform, TransformList

from .arguments import check_number, check_size, fail, width_and_height
from .frames import Crop, Pad
from .ground import check_fill_length, check_fill_value
from .operator import Operator
from .resize import ResizeByShort, resizing
from .setting import Setting


class LargeScaleJitter(Operator, d2.Augmentation):
    """Resize by a random factor, then cut or fill up to a fixed size."""

    def __init__(
        self,
        *,
        target_size: int | Sequence[int] = 1024,
        min_scale: float = 0.1,
        max_scale: float = 2.0,
        fill_value: Sequence[float] | None = None,
    ) -> None:
        """Check the arguments.

        Args:
            target_size: side of the result, or [width, height], in pixels.
            min_scale: smallest factor; at 1 the image just fits into the target.
            max_scale: largest factor.
            fill_value: colour of the ground, RGB pixel values; None for the mean of `Normalize`.

        Raises:
            ValueError: if a size or factor is not positive, or the factors are in disorder.
        """
        name = "LargeScaleJitter"
        self.target_size = check_size(name, "target_size", target_size)
        self.min_scale = check_number(name, "min_scale", min_scale, 0.01)
        self.max_scale = check_number(name, "max_scale", max_scale, 0.01)
        if self.max_scale < self.min_scale:
            raise fail(name, "max_scale", f">= min_scale ({min_scale})", max_scale)
        self.fill_value = check_fill_value(name, fill_value)

    def get_transform(self, image: np.ndarray, setting: Setting) -> Transform:
        """Draw factor and place for this image."""
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
                Pad(cut_size, target, (0, 0), setting.fill(self.fill_value)),
            ]
        )

    def deterministic(self) -> ResizeByShort:
        """Prediction fits the image into the target and does not fill up."""
        width, height = width_and_height(self.target_size)
        return ResizeByShort(min(width, height), max(width, height))

    def check(self, setting: Setting) -> None:
        """Raise ValueError when the colour of the ground has another number of channels."""
        check_fill_length("LargeScaleJitter", self.fill_value, setting)

    def largest_zoom(self, height: int, width: int) -> float:
        """With the largest factor."""
        return self._fitting_scale(height, width) * self.max_scale

    def _fitting_scale(self, height: int, width: int) -> float:
        target_width, target_height = width_and_height(self.target_size)
        return min(target_height / height, target_width / width)
