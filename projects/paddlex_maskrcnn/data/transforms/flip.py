"""Mirroring.

Origin: PaddleX `RandomHorizontalFlip`. Differences: x becomes W - x (edges of pixels), for boxes,
polygons and masks alike, where PaddleX used W - x - 1 (centres of pixels); and classes that a
mirror turns into each other, such as a left and a right shoe, can be swapped.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from .arguments import check_fraction, fail, unknown_name
from .operator import Operator
from .outline import Outline
from .setting import Setting

Pairs = Sequence[Sequence[str]]


class _Renaming(Transform):
    """Gives objects another class on the way."""

    swaps: dict[int, int]

    def follow(self, outline: Outline) -> None:
        """Mirror an object and rename it."""
        outline.move(self, keeps_tight=True)
        outline.category = self.swaps.get(outline.category, outline.category)


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

    def __init__(self, prob: float, swap_labels: Pairs | None) -> None:
        name = type(self).__name__
        self.prob = check_fraction(name, "prob", prob)
        self.swap_labels = None if swap_labels is None else _checked_pairs(name, swap_labels)
        # What Detectron2 takes from its input; class names only where they are needed.
        self.input_args = ("image", "setting") if self.swap_labels else ("image",)

    def get_transform(self, image: np.ndarray, setting: Setting | None = None) -> Transform:
        """Draw whether this image is mirrored."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        swaps = {}
        if self.swap_labels:
            assert setting is not None
            assert setting.labels is not None
            swaps = _swaps(self.swap_labels, setting.labels)
        return self.mirror(image.shape[self.side], swaps)

    def deterministic(self) -> None:
        """Prediction does not mirror."""
        return

    def check(self, setting: Setting) -> None:
        """Raise ValueError where swap_labels names what is no class."""
        where = f"{type(self).__name__}: swap_labels"
        names = [name for pair in self.swap_labels or [] for name in pair]
        if names and setting.labels is None:
            raise ValueError(f"{where} needs a data set with class names")
        for name in names:
            if name not in (setting.labels or ()):
                raise unknown_name(where, name, setting.labels or ())


class RandomHorizontalFlip(_Flip):
    """Mirror an image left to right, with everything in it, with probability `prob`."""

    mirror, side = HorizontalMirror, 1

    def __init__(self, prob: float = 0.5, *, swap_labels: Pairs | None = None) -> None:
        """Check the arguments.

        Args:
            swap_labels: pairs of class names that turn into each other, [[left, right], ...].

        Raises:
            ValueError: if prob is not from 0 to 1, or swap_labels is not pairs of names.
        """
        super().__init__(prob, swap_labels)


class RandomVerticalFlip(_Flip):
    """Mirror an image top to bottom, with everything in it, with probability `prob`."""

    mirror, side = VerticalMirror, 0

    def __init__(self, *, prob: float = 0.5, swap_labels: Pairs | None = None) -> None:
        """Check the arguments.

        Args:
            swap_labels: pairs of class names that turn into each other, [[up, down], ...].

        Raises:
            ValueError: if prob is not from 0 to 1, or swap_labels is not pairs of names.
        """
        super().__init__(prob, swap_labels)


def _swaps(pairs: list[list[str]], labels: Sequence[str]) -> dict[int, int]:
    """For each class that changes its new index."""
    index = {label: k for k, label in enumerate(labels)}
    there = {index[a]: index[b] for a, b in pairs}
    return there | {b: a for a, b in there.items()}


def _checked_pairs(operator: str, pairs: Any) -> list[list[str]]:
    allowed = "pairs of class names, each name once, such as [['left_shoe', 'right_shoe']]"
    is_list = isinstance(pairs, list | tuple) and len(pairs) > 0
    if not is_list or not all(_is_pair(pair) for pair in pairs):
        raise fail(operator, "swap_labels", allowed, pairs)
    names = [name for pair in pairs for name in pair]
    if len(set(names)) != len(names):
        raise fail(operator, "swap_labels", allowed, pairs)
    return [list(pair) for pair in pairs]


def _is_pair(pair: Any) -> bool:
    is_pair = isinstance(pair, list | tuple) and len(pair) == 2
    return is_pair and all(isinstance(name, str) for name in pair)
