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
        """COCO's compressed run-length form of the whole mask, counts as text; in time of the window."""
        runs = self._runs(height, width)
        encoded = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
        return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}

    def _runs(self, height: int, width: int) -> list[int]:
        """Lengths of the runs of the whole mask, column by column, zeros first."""
        rows, columns = self.bits.shape
        # a zero above and below each column, so that its runs begin and end inside of it
        framed = np.zeros((columns, rows + 2), np.uint8)
        framed[:, 1:-1] = self.bits.T
        flat = framed.reshape(-1)
        column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), rows + 2)
        edges = (self.x + column) * height + self.y + row
        # where a column of the window ends and the next one begins at the same pixel, no run ends
        inner = np.flatnonzero(edges[1:-1:2] == edges[2::2])
        edges = np.delete(edges, np.concatenate([2 * inner + 1, 2 * inner + 2]))
        runs = np.diff(np.concatenate([[0], edges, [height * width]]))
        return (runs if runs[-1] or len(runs) == 1 else runs[:-1]).tolist()


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
