"""One object on its way through the transforms: class, box and mask together.

A transform that only moves points needs nothing of this; one that cuts, covers or renames objects
has a method `follow(outline)`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
from detectron2.data import transforms as d2
from detectron2.structures import BoxMode
from fvcore.transforms.transform import BlendTransform, Transform

from .polygons import clip_polygon

# Under these a box around an object stays the box around the object.
_KEEP_BOXES_TIGHT = (
    d2.ResizeTransform,
    d2.HFlipTransform,
    d2.VFlipTransform,
    d2.NoOpTransform,
    BlendTransform,
    d2.ColorTransform,
)
_SMALLEST_SIDE = 1e-5  # pixels


class Outline:
    """An object of an image.

    Attributes:
        category: index of its class.
        is_crowd: a region of many objects; its box is all there is of it.
        box: XYXY in pixels.
        polygons: its mask as a list of (N, 2) points, or None.
        bits: its mask as (H, W) bool, or None.
        is_tight: whether the box is still the annotated one; otherwise the mask decides.
        is_gone: nothing of it is left in the image.
    """

    def __init__(self, annotation: Mapping[str, Any], with_mask: bool = True) -> None:
        """Start where the annotation is.

        Args:
            annotation: Detectron2 annotation dict, with iscrowd; it is not changed.
            with_mask: False follows the box alone.
        """
        self.category: int = annotation["category_id"]
        self.is_crowd = bool(annotation["iscrowd"])
        self.box = _corners(annotation["bbox"], annotation["bbox_mode"])
        self.polygons: list[np.ndarray] | None = None
        self.bits: np.ndarray | None = None
        self.is_tight = True
        self.is_gone = False
        if with_mask and not self.is_crowd:
            self._take_mask(annotation["segmentation"])

    def follow(self, steps: Sequence[Transform]) -> bool:
        """Go through all steps; False as soon as nothing is left."""
        for step in steps:
            if hasattr(step, "follow"):
                step.follow(self)
            else:
                self.move(step, isinstance(step, _KEEP_BOXES_TIGHT))
            if self.is_gone:
                return False
        return True

    def move(self, step: Transform, keeps_tight: bool) -> None:
        """Move box and mask as a transform says."""
        self.box = step.apply_box(self.box[None])[0].astype(np.float64)
        self.is_tight &= keeps_tight
        if self.polygons is not None:
            self.polygons = [step.apply_coords(points) for points in self.polygons]
        if self.bits is not None:
            self.bits = step.apply_segmentation(self.bits)

    def clip(self, height: int, width: int) -> None:
        """Cut off what lies outside the image, before that is cut away or something else there."""
        limits = np.array([width, height] * 2, dtype=np.float64)
        clipped = np.clip(self.box, 0, limits)
        self.is_tight &= bool(np.abs(clipped - self.box).max() < _SMALLEST_SIDE)
        self.box = clipped
        if self.polygons is not None:
            parts = [clip_polygon(points, height, width) for points in self.polygons]
            self.polygons = [points for points in parts if len(points) >= 3]
        has_size = (clipped[2:] - clipped[:2] > _SMALLEST_SIDE).all()
        self.is_gone |= not has_size or self.polygons == []

    @property
    def has_mask(self) -> bool:
        """Whether more than the box is followed."""
        return self.polygons is not None or self.bits is not None

    def reach(self) -> tuple[int, int, int, int]:
        """Whole pixels (x1, y1, x2, y2) outside of which there is nothing of the mask."""
        if self.polygons:
            points = np.concatenate(self.polygons)
            low = np.floor(points.min(axis=0)).astype(int) - 1  # drawing rounds to the next pixel
            high = np.ceil(points.max(axis=0)).astype(int) + 1
            return max(0, low[0]), max(0, low[1]), max(0, high[0]), max(0, high[1])
        assert self.bits is not None
        return 0, 0, self.bits.shape[1], self.bits.shape[0]

    def rasterized(self, height: int, width: int) -> np.ndarray:
        """(H, W) bool: the pixels of the mask, of the box if it is a crowd region."""
        if self.bits is not None:
            assert self.bits.shape == (height, width), (self.bits.shape, height, width)
            return self.bits
        if self.polygons is not None:
            return mask_util.decode(self._drawn(height, width)).view(bool)
        bits = np.zeros((height, width), dtype=bool)
        x1, y1 = np.floor(self.box[:2]).astype(int)
        x2, y2 = np.ceil(self.box[2:]).astype(int)
        bits[y1:y2, x1:x2] = True
        return bits

    def settle(self, height: int, width: int) -> bool:
        """The box inside the image, from the mask where it is not tight; False if all has left."""
        if not self.is_tight and not self.is_crowd:
            self.box = self._box_of_mask(height, width)
        self.box = np.clip(self.box, 0, [width, height] * 2)
        has_size = (self.box[2:] - self.box[:2] > _SMALLEST_SIDE).all()
        has_mask = self.polygons != [] and (self.bits is None or self.bits.any())
        self.is_gone = not (has_size and has_mask)
        return not self.is_gone

    def _take_mask(self, segmentation: Any) -> None:
        if isinstance(segmentation, list):
            self.polygons = [
                np.array(points, dtype=np.float64).reshape(-1, 2) for points in segmentation
            ]
        else:
            self.bits = mask_util.decode(segmentation).view(bool)

    def _box_of_mask(self, height: int, width: int) -> np.ndarray:
        if not self.has_mask:
            return self.box
        if self.bits is not None:
            xs, ys = np.flatnonzero(self.bits.any(axis=0)), np.flatnonzero(self.bits.any(axis=1))
            ends = [xs[0], ys[0], xs[-1] + 1, ys[-1] + 1] if len(xs) else [0, 0, 0, 0]
            return np.array(ends, dtype=np.float64)
        assert self.polygons is not None
        if not self.polygons:
            return np.zeros(4)
        points = np.concatenate(self.polygons)
        low, high = points.min(axis=0), points.max(axis=0)
        # Strictly inside: a polygon cut at the border may run along it where there is no area.
        if (low > 0).all() and (high < (width, height)).all():
            return np.concatenate([low, high])
        x, y, w, h = mask_util.toBbox(self._drawn(height, width))
        return np.array([x, y, x + w, y + h])

    def _drawn(self, height: int, width: int) -> Any:
        """Run lengths of the polygons."""
        assert self.polygons is not None
        flat = [points.reshape(-1).tolist() for points in self.polygons]
        return mask_util.merge(mask_util.frPyObjects(flat, height, width))


def _corners(box: Any, mode: BoxMode) -> np.ndarray:
    """(4,) XYXY of an annotation's box."""
    if mode != BoxMode.XYWH_ABS:
        return np.array(BoxMode.convert(box, mode, BoxMode.XYXY_ABS), dtype=np.float64)
    corners = np.array(box, dtype=np.float64)  # nearly all boxes are; convert takes 50 us for one
    corners[2:] += corners[:2]
    return corners
