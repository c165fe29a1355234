"""Mirroring.

Origin: PaddleX `RandomHorizontalFlip`. Differences: x becomes W - x (edges of pixels), for boxes,
polygons and masks alike, where PaddleX used W - x - 1 (centres of pixels); and classes that a
mirror turns into each other, such as a left and a right shoe, can be swapped.
"""

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.check import suggestion
from ...config.operator_params import RandomHorizontalFlipParams, RandomVerticalFlipParams
from ...config.signature import takes_params
from .operator import ImageContext, Operator
from .sample import Annotation


class _Renaming(Transform):
    """Gives objects another class on the way."""

    swaps: dict[int, int]

    def apply_annotation(self, annotation: Annotation) -> None:
        """Mirror an object and rename it."""
        annotation.move(self, keeps_tight=True)
        annotation.category = self.swaps.get(annotation.category, annotation.category)


class HorizontalMirror(_Renaming, d2.HFlipTransform):
    """Detectron2's, with classes that change, and faster."""

    def __init__(self, width: int, swaps: dict[int, int]) -> None:
        """Keep the width in pixels, and for each class that changes its new index."""
        super().__init__(width)
        self.swaps = swaps

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W, C), mirrored; by OpenCV, since copying a mirrored view pixel by pixel takes long."""
        return cv2.flip(np.ascontiguousarray(img), 1).reshape(img.shape)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(H, W), mirrored."""
        return segmentation[:, ::-1]


class VerticalMirror(_Renaming, d2.VFlipTransform):
    """Detectron2's, with classes that change, and without a detour over torch."""

    def __init__(self, height: int, swaps: dict[int, int]) -> None:
        """Keep the height in pixels, and for each class that changes its new index."""
        super().__init__(height)
        self.swaps = swaps

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W) or (H, W, C), upside down."""
        return img[::-1]


class _Flip(Operator, d2.Augmentation):
    """What both directions share."""

    mirror: ClassVar[type[HorizontalMirror] | type[VerticalMirror]]
    side: ClassVar[int]  # the axis of the image whose length the mirror needs

    def __init__(self, params: RandomHorizontalFlipParams | RandomVerticalFlipParams) -> None:
        self.prob, self.swap_labels = params.prob, params.swap_labels
        # What Detectron2 takes from its input; class names only where they are needed.
        self.input_args = ("image", "context") if self.swap_labels else ("image",)

    def get_transform(self, image: np.ndarray, context: ImageContext | None = None) -> Transform:
        """Draw whether this image is mirrored."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        swaps = {}
        if self.swap_labels:
            assert context is not None
            assert context.labels is not None
            swaps = _swaps(self.swap_labels, context.labels)
        return self.mirror(image.shape[self.side], swaps)

    def deterministic(self) -> None:
        """Prediction does not mirror."""
        return

    def check(self, context: ImageContext) -> None:
        """Raise ValueError where swap_labels names what is no class."""
        names = [name for pair in self.swap_labels or [] for name in pair]
        where = f"{type(self).__name__}.swap_labels is {self.swap_labels}"
        if names and context.labels is None:
            raise ValueError(f"{where}; a data set with class names is needed")
        labels = context.labels or ()
        for name in (name for name in names if name not in labels):
            near = suggestion(name, labels)
            raise ValueError(
                f"{where}; {name!r} is no class, choose from {', '.join(labels)}{near}"
            )


class RandomHorizontalFlip(_Flip):
    """Mirror an image left to right, with everything in it, with probability `prob`."""

    mirror, side = HorizontalMirror, 1

    @takes_params(RandomHorizontalFlipParams, "RandomHorizontalFlip")
    def __init__(self, params: RandomHorizontalFlipParams) -> None:
        super().__init__(params)


class RandomVerticalFlip(_Flip):
    """Mirror an image top to bottom, with everything in it, with probability `prob`."""

    mirror, side = VerticalMirror, 0

    @takes_params(RandomVerticalFlipParams, "RandomVerticalFlip")
    def __init__(self, params: RandomVerticalFlipParams) -> None:
        super().__init__(params)


def _swaps(pairs: list[list[str]], labels: Sequence[str]) -> dict[int, int]:
    """For each class that changes its new index."""
    index = {label: k for k, label in enumerate(labels)}
    there = {index[a]: index[b] for a, b in pairs}
    return there | {b: a for a, b in there.items()}
