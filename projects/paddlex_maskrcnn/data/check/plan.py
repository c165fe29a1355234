"""What the network is going to do with the data, as far as it decides what is wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..transforms.compose import Compose
from ..transforms.resize import Resize, ResizeByShort, resized_size
from .anchors import AnchorSet, ResizedBoxes
from .scan import Scan

Sizer = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Plan:
    """Sizes and limits.

    Attributes:
        resizing: what is done to sizes, in words.
        new_size: (height, width) of an image to those the network sees, pixels.
        anchors: those of the network.
        most_detections: kept for an image.
    """

    resizing: str
    new_size: Sizer
    anchors: AnchorSet
    most_detections: int = 100


def resizing_of(transforms: Compose | None) -> tuple[str, Sizer]:
    """What operators do to sizes where nothing is random, in words and as a function."""
    operators = transforms.deterministic().transforms if transforms else []
    steps = [one for one in operators if isinstance(one, ResizeByShort | Resize)]
    words = ", then ".join(map(repr, steps)) or "not resized"

    def new_size(height: int, width: int) -> tuple[int, int]:
        for one in steps:
            if isinstance(one, Resize):
                target = one.target_size
                width, height = (target, target) if isinstance(target, int) else target
            else:
                short = one.short_size
                longest = short if isinstance(short, int) else max(short)
                height, width = resized_size(height, width, longest, one.max_size)
        return height, width

    return words, new_size


def resized_boxes(scan: Scan, plan: Plan) -> tuple[ResizedBoxes, np.ndarray]:
    """Boxes of a part's objects as the network sees them, and their rows; no crowd regions."""
    rows = np.flatnonzero(~scan.objects.is_crowd)
    frames, factors = resized_frames(scan, plan)
    image = scan.objects.image[rows]
    boxes = scan.objects.box[rows] * np.tile(factors[image], 2)
    return ResizedBoxes(boxes, frames[image]), rows


def resized_frames(scan: Scan, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) height and width after resizing, and (N, 2) factors of x and y."""
    old = np.array(scan.sizes, np.float64).reshape(-1, 2)
    new = np.array([plan.new_size(int(h), int(w)) for h, w in old], np.float64).reshape(-1, 2)
    return new, (new / np.maximum(old, 1))[:, ::-1]
