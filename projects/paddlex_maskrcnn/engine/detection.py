"""One detected object; its mask is kept as the part inside its box until somebody asks for more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


@dataclass(frozen=True)
class BoxMask:
    """A binary mask that is zero outside a window.

    Attributes:
        x, y: left upper pixel of the window.
        bits: (h, w) uint8 of 0 and 1.
    """

    x: int
    y: int
    bits: np.ndarray

    def dense(self, height: int, width: int) -> np.ndarray:
        """The whole mask, (height, width) uint8 of 0 and 1."""
        whole = np.zeros((height, width), dtype=np.uint8)
        rows, columns = self.bits.shape
        whole[self.y : self.y + rows, self.x : self.x + columns] = self.bits
        return whole

    def rle(self, height: int, width: int) -> dict[str, Any]:
        """COCO's compressed run-length form of the whole mask, counts as text."""
        encoded = coco_mask.encode(np.asfortranarray(self.dense(height, width)))
        return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


@dataclass(frozen=True)
class Detection:
    """One detected object of one image.

    Attributes:
        box: (4,) x1, y1, x2, y2 in pixels of the original image, continuous coordinates.
        score: 0 to 1.
        class_index: index into the model's labels.
        mask: inside the box.
    """

    box: tuple[float, float, float, float]
    score: float
    class_index: int
    mask: BoxMask

    @property
    def xywh(self) -> list[float]:
        """Left, top, width, height in pixels."""
        x1, y1, x2, y2 = self.box
        return [x1, y1, x2 - x1, y2 - y1]
