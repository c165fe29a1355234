"""Zooming out: the image somewhere on a larger ground.

Origin: PaddleX `RandomExpand`, its sizes and places. Differences: images of any number of channels,
whose ground is the mean of `Normalize` unless a colour is given.
"""

import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.signature import takes_rows
from ...config.transform_rows import IMAGENET_MEAN_PIXEL, RandomExpandParams
from .frames import Pad
from .ground import check_fill_length
from .operator import Operator
from .setting import Setting

_LEAST = 1.01  # PaddleX leaves smaller ratios alone


class RandomExpand(Operator, d2.Augmentation):
    """Put an image with objects on a ground up to `ratio` times as wide and high."""

    @takes_rows(RandomExpandParams, "RandomExpand")
    def __init__(self, params: RandomExpandParams) -> None:
        self.ratio = params.ratio
        self.prob = params.prob
        self.fill_value = params.fill_value

    def get_transform(self, image: np.ndarray, boxes: np.ndarray, setting: Setting) -> Transform:
        """Draw size and place for this image."""
        if not len(boxes) or self.ratio < _LEAST or np.random.random() >= self.prob:
            return d2.NoOpTransform()
        height, width = image.shape[:2]
        ratio = np.random.uniform(1, self.ratio)
        new_height, new_width = int(height * ratio), int(width * ratio)
        y = int(np.random.uniform(0, new_height - height))
        x = int(np.random.uniform(0, new_width - width))
        return Pad(
            (height, width), (new_height, new_width), (y, x), setting.fill(self._colour(setting))
        )

    def deterministic(self) -> None:
        """Prediction does not expand."""
        return

    def check(self, setting: Setting) -> None:
        """Raise ValueError when the colour of the ground has another number of channels."""
        check_fill_length("RandomExpand", self._colour(setting), setting)

    def _colour(self, setting: Setting) -> list[float] | None:
        is_default = self.fill_value == list(IMAGENET_MEAN_PIXEL)
        fits = setting.num_channels == 3 and not setting.keeps_values
        return None if is_default and not fits else self.fill_value
