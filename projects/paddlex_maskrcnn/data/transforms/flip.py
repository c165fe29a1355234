"""Mirroring.

Origin: PaddleX `RandomHorizontalFlip`. Difference: x becomes W - x (edges of pixels), for boxes,
polygons and masks alike, where PaddleX used W - x - 1 (centres of pixels).
"""

import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from .arguments import check_fraction
from .operator import Operator


class RandomHorizontalFlip(Operator, d2.Augmentation):
    """Mirror an image left to right, with everything in it, with probability `prob`."""

    def __init__(self, prob: float = 0.5) -> None:
        """Check the arguments.

        Raises:
            ValueError: if prob is not from 0 to 1.
        """
        self.prob = check_fraction("RandomHorizontalFlip", "prob", prob)

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draw whether this image is mirrored."""
        if np.random.random() < self.prob:
            return d2.HFlipTransform(image.shape[1])
        return d2.NoOpTransform()

    def deterministic(self) -> None:
        """Prediction does not mirror."""
        return
