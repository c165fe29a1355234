"""Cutting out a part that shows enough of an object.

Origin: PaddleX `RandomCrop`, after the sampling of SSD (Liu et al., 2016): a part is drawn until the
IoU of a box with it reaches a threshold, and objects stay if the centre of their box is inside.
Differences: a part may be as large as the image (PaddleX stopped with an error there) and may touch
its right and lower border; RLE masks are cut exactly; crowd regions do not count as objects and
stay, cut, wherever their centre is.
"""

import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.signature import takes_rows
from ...config.transform_rows import RandomCropParams
from .frames import Crop
from .operator import Operator

Box = tuple[int, int, int, int]  # x, y, width, height


class RandomCrop(Operator, d2.Augmentation):
    """Cut a part out of an image with objects."""

    @takes_rows(RandomCropParams, "RandomCrop")
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
