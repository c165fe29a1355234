"""How well anchors fit the annotated boxes.

An object's best anchor of a shape is the one whose centre is nearest, in x and in y on their own,
because the overlap of two boxes of given sizes grows as their centres come closer along either axis.
So the best IoU over all anchors of an image follows from the sizes and the place in the grid alone,
exactly, without making the anchors. Anchors stand as Detectron2's DefaultAnchorGenerator puts them:
centres at whole multiples of the stride, from 0 on (offset 0).
"""

from dataclasses import dataclass

import numpy as np

FPN_STRIDES = (4, 8, 16, 32, 64)
C4_STRIDE = 16
SIZE_BOUNDS = (32**2, 96**2)  # square pixels: COCO's small, medium, large
_BLOCK = 20000  # boxes compared at once, for the memory it takes
_PADDED_TO = 32  # the image's sides are filled up to a multiple of it


@dataclass(frozen=True)
class AnchorSet:
    """Sizes and shapes of anchors.

    Attributes:
        sizes: square roots of the areas, pixels of the resized image; with FPN one a level.
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


def best_overlaps(found: ResizedBoxes, anchors: AnchorSet) -> np.ndarray:
    """(N, S, R) IoU of each box and the best anchor of each size and shape, over all places."""
    shapes = anchors.shapes()
    strides = anchors.strides
    sides = found.boxes[:, 2:]
    centres = found.boxes[:, :2] + sides / 2
    padded = np.ceil(found.frames[:, ::-1] / _PADDED_TO) * _PADDED_TO
    places = np.ceil(padded[:, None] / strides[None, :, None])  # (N, S, 2) grid points of x and y
    nearest = np.round(centres[:, None] / strides[None, :, None])
    nearest = np.clip(nearest, 0, places - 1) * strides[None, :, None]
    apart = np.abs(nearest - centres[:, None])[:, :, None]  # (N, S, 1, 2)
    box, anchor = sides[:, None, None], shapes[None]
    shared = np.minimum((box + anchor) / 2 - apart, np.minimum(box, anchor))
    overlap = np.clip(shared, 0, None).prod(axis=-1)
    return overlap / (box.prod(axis=-1) + anchor.prod(axis=-1) - overlap)


def best_overlap(found: ResizedBoxes, anchors: AnchorSet) -> np.ndarray:
    """(N,) IoU of each box and its best anchor."""
    blocks = [
        best_overlaps(found.some(np.arange(first, min(first + _BLOCK, len(found)))), anchors)
        for first in range(0, len(found), _BLOCK)
    ]
    return np.concatenate([block.max(axis=(1, 2)) for block in blocks] or [np.empty(0)])


def recall(overlaps: np.ndarray, threshold: float) -> float:
    """Share of boxes whose best anchor reaches this IoU; 1 when there is no box."""
    return float((overlaps >= threshold).mean()) if len(overlaps) else 1.0
