"""Turning, by quarters and by any angle.

Origin: Detectron2's RotationTransform. Differences: quarter turns move pixels and points exactly,
without interpolation; corners that turn up are painted in a colour; images of any number of
channels; what leaves the image is cut off the objects.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.operator_params import RandomRotate90Params, RandomRotationParams
from ...config.signature import takes_params
from .operator import ImageContext, Operator
from .sample import Annotation

_MOST_CHANNELS = 4  # that OpenCV turns, and fills the corners of, at once


class RandomRotate90(Operator, d2.Augmentation):
    """Turn an image by quarters of a circle."""

    @takes_params(RandomRotate90Params, "RandomRotate90")
    def __init__(self, params: RandomRotate90Params) -> None:
        self.prob = params.prob
        self.turns = params.turns

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draw the number of quarters."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        turns = self.turns[np.random.randint(len(self.turns))]
        return QuarterTurns(image.shape[0], image.shape[1], turns)

    def deterministic(self) -> None:
        """Prediction does not turn."""
        return

    def smallest_size(self, height: int, width: int) -> tuple[int, int]:
        """Either side may become the shorter one."""
        return min(height, width), min(height, width)


class RandomRotation(Operator, d2.Augmentation):
    """Turn an image about its centre by an angle from a range."""

    @takes_params(RandomRotationParams, "RandomRotation")
    def __init__(self, params: RandomRotationParams) -> None:
        angle = params.angle
        self.angle = angle if isinstance(angle, list) else [-abs(angle), abs(angle)]
        self.prob = params.prob
        self.expand = params.expand
        self.fill_value = params.fill_value

    def get_transform(self, image: np.ndarray, context: ImageContext) -> Transform:
        """Draw the angle."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        angle = np.random.uniform(self.angle[0], self.angle[1])
        fill = context.fill(self.fill_value)
        return Rotation(image.shape[0], image.shape[1], angle, self.expand, fill)

    def deterministic(self) -> None:
        """Prediction does not turn."""
        return

    def check(self, context: ImageContext) -> None:
        """Raise ValueError when the fill colour has another number of channels."""
        context.check_fill("RandomRotation", self.fill_value)

    def smallest_size(self, height: int, width: int) -> tuple[int, int]:
        """An image that grows with its corners may have its sides swapped."""
        shorter = min(height, width)
        return (shorter, shorter) if self.expand else (height, width)


class QuarterTurns(Transform):
    """Turn counter-clockwise by quarters, exactly."""

    def __init__(self, height: int, width: int, turns: int) -> None:
        """Keep the size in pixels before, and the number of quarters."""
        super().__init__()
        self.height, self.width, self.turns = height, width, turns

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W) or (H, W, C), turned."""
        return np.rot90(img, self.turns)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Turn points."""
        x, y = coords[:, 0], coords[:, 1]
        turned = {
            1: (y, self.width - x),
            2: (self.width - x, self.height - y),
            3: (self.height - y, x),
        }
        return np.stack(turned[self.turns], axis=1)

    def apply_annotation(self, annotation: Annotation) -> None:
        """Turn an object; its box stays around it."""
        annotation.move(self, keeps_tight=True)


class Rotation(d2.RotationTransform):
    """Detectron2's, with a colour in the corners."""

    def __init__(
        self, height: int, width: int, angle: float, expand: bool, fill: Sequence[float]
    ) -> None:
        """Keep size in pixels before, angle in degrees, and the value of each channel outside."""
        super().__init__(height, width, angle, expand)
        self.fill = fill

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """(H, W, C), turned."""
        turned = [
            self._turned(img[:, :, first : first + _MOST_CHANNELS], cv2.INTER_LINEAR, first)
            for first in range(0, img.shape[2], _MOST_CHANNELS)
        ]
        return turned[0] if len(turned) == 1 else np.concatenate(turned, axis=2)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(H, W), turned by the nearest pixel, nothing outside."""
        bits = np.ascontiguousarray(segmentation).view(np.uint8)
        size = (int(self.bound_w), int(self.bound_h))
        return cv2.warpAffine(bits, self.rm_image, size, flags=cv2.INTER_NEAREST).view(
            segmentation.dtype
        )

    def apply_annotation(self, annotation: Annotation) -> None:
        """Turn an object; the box comes from its mask, and nothing sticks out before or after."""
        annotation.clip(self.h, self.w)
        annotation.move(self, keeps_tight=False)
        annotation.clip(int(self.bound_h), int(self.bound_w))

    def _turned(self, img: np.ndarray, interp: int, first: int) -> np.ndarray:
        size = (int(self.bound_w), int(self.bound_h))
        turned = cv2.warpAffine(
            np.ascontiguousarray(img),
            self.rm_image,
            size,
            flags=interp,
            borderValue=[float(value) for value in self.fill[first : first + _MOST_CHANNELS]],
        )
        return turned.reshape(size[1], size[0], img.shape[2])
