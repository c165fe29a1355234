"""What the network is going to do with the data: sizes it sees, anchors, limits.

It decides what is wrong with the data: an object that is large enough in its file may be a speck
after resizing, or between two anchors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...config.operator_params import NormalizeParams, OperatorChoice
from ..images import resized_size
from .scan import Scan

FPN_STRIDES = (4, 8, 16, 32, 64)
C4_STRIDE = 16

Sizer = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True)
class AnchorSet:
    """Sizes and shapes of anchors.

    Attributes:
        sizes: square roots of the areas, pixels of the resized image; with FPN a single one a level.
        ratios: height / width.
        with_fpn: whether size i belongs to pyramid level i (strides 4 to 64), or all to stride 16.
    """

    sizes: tuple[float, ...]
    ratios: tuple[float, ...]
    with_fpn: bool = True

    @property
    def strides(self) -> np.ndarray:
        """(S,) stride in pixels of each size."""
        strides = FPN_STRIDES if self.with_fpn else (C4_STRIDE,) * len(self.sizes)
        return np.array(strides, np.float64)

    def shapes(self) -> np.ndarray:
        """(S, R, 2) width and height of each anchor, pixels."""
        sizes, ratios = np.array(self.sizes, np.float64)[:, None], np.array(self.ratios)[None]
        widths = sizes / np.sqrt(ratios)
        return np.stack([widths, widths * ratios], axis=-1)


@dataclass(frozen=True)
class Plan:
    """Sizes and limits.

    Attributes:
        resizing: what is done to sizes, in words.
        new_size: (height, width) of an image to those the network sees, pixels.
        anchors: those of the network.
        most_detections: of an image, the others are dropped.
        normalize: the range of pixel values.
    """

    resizing: str
    new_size: Sizer
    anchors: AnchorSet
    most_detections: int = 100
    normalize: NormalizeParams = field(default_factory=NormalizeParams)


def normalize_of(operators: Sequence[OperatorChoice]) -> NormalizeParams:
    """What Normalize declares, its defaults where it is not there."""
    declared = (o.arguments for o in operators if isinstance(o.arguments, NormalizeParams))
    return next(declared, NormalizeParams())


def resizing_of(operators: Sequence[OperatorChoice]) -> tuple[str, Sizer]:
    """What operators do to sizes where nothing is random, in words and as a function."""
    steps = [step for operator in operators if (step := _step(operator))]

    def new_size(height: int, width: int) -> tuple[int, int]:
        for _, step in steps:
            height, width = step(height, width)
        return height, width

    return ", then ".join(words for words, _ in steps) or "not resized", new_size


def _step(operator: OperatorChoice) -> tuple[str, Sizer] | None:
    """What `deterministic()` of the operator, of data.transforms, does to sizes."""
    given = operator.arguments
    if operator.name == "Resize":
        target = given.target_size
        width, height = (target, target) if isinstance(target, int) else target
        return f"Resize(target_size={target!r})", lambda h, w: (height, width)
    if operator.name == "ResizeByShort":
        short, longest = given.short_size, given.max_size
        short = short if isinstance(short, int) else max(short)
    elif operator.name == "ComposedRCNNTransforms":
        short, longest = given.min_max_size
    elif operator.name == "LargeScaleJitter":
        target = given.target_size
        sides = (target, target) if isinstance(target, int) else target
        short, longest = min(sides), max(sides)
    else:
        return None
    words = f"ResizeByShort(short_size={short}, max_size={longest})"
    return words, lambda h, w: resized_size(h, w, short, longest)


@dataclass(frozen=True)
class ResizedBoxes:
    """Boxes as the network sees them.

    Attributes:
        boxes: (N, 4) x, y, width, height, pixels of the resized image.
        frames: (N, 2) height and width of the resized image each box is in.
    """

    boxes: np.ndarray
    frames: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def some(self, rows: np.ndarray) -> "ResizedBoxes":
        """The boxes of these rows."""
        return ResizedBoxes(self.boxes[rows], self.frames[rows])


def resized_boxes(scan: Scan, plan: Plan) -> tuple[ResizedBoxes, np.ndarray]:
    """Boxes of a part's objects as the network sees them, and their rows; no crowd regions."""
    rows = np.flatnonzero(~scan.objects.is_crowd)
    frames, factors = _resized_frames(scan, plan)
    image = scan.objects.image[rows]
    boxes = scan.objects.box[rows] * np.tile(factors[image], 2)
    return ResizedBoxes(boxes, frames[image]), rows


def _resized_frames(scan: Scan, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) height and width after resizing, and (N, 2) factors of x and y."""
    old = np.array(scan.sizes, np.float64).reshape(-1, 2)
    new = np.array([plan.new_size(int(h), int(w)) for h, w in old], np.float64).reshape(-1, 2)
    return new, (new / np.maximum(old, 1))[:, ::-1]
