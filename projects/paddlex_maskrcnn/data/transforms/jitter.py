"""Large-scale jitter.

What: resize by a factor from a wide range around a fixed size, then cut or fill up to that size.
Paper: Ghiasi et al., "Simple copy-paste is a strong data augmentation method for instance
segmentation", CVPR 2021. Origin: Detectron2's ResizeScale and FixedSizeCrop, their sizes and offset
to the pixel. Difference: the ground is the mean colour instead of grey, so that the network sees
zeros there.
"""

import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform, TransformList

from ...config.signature import takes_rows
from ...config.transform_rows import LargeScaleJitterParams
from .frames import Crop, Pad
from .ground import check_fill_length
from .operator import Operator
from .resize import ResizeByShort, resizing, width_and_height
from .setting import Setting


class LargeScaleJitter(Operator, d2.Augmentation):
    """Resize by a random factor, then cut or fill up to a fixed size."""

    @takes_rows(LargeScaleJitterParams, "LargeScaleJitter")
    def __init__(self, params: LargeScaleJitterParams) -> None:
        self.target_size = params.target_size
        self.min_scale = params.min_scale
        self.max_scale = params.max_scale
        self.fill_value = params.fill_value

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
