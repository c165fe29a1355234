"""An image with its objects on the way through the operators.

Origin: Detectron2's `AugInput`, whose place it takes. Differences: it carries the objects,
untouched, with the list of transforms that each of them still has to go through; several such
layers after objects of another image were pasted. Masks are moved once, at the end and one by one,
so that a photograph with a hundred masks never holds a hundred masks of its full size.

Every mask travels as polygons: those of the file, or the annotation of an RLE mask along the edges of
its pixels. So both forms of one object go the same way and end in the same targets, and what only
moves whole pixels keeps RLE masks to the pixel.

A transform that only moves points needs nothing of this; one that cuts, covers or renames objects
has a method `apply_annotation(annotation)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
from detectron2.data import transforms as d2
from detectron2.structures import BoxMode
from fvcore.transforms.transform import BlendTransform, Transform, TransformList

from ..masks import clip_polygon, polygons_of_rle
from .operator import ImageContext

AnnotationDict = Mapping[str, Any]

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


@dataclass
class Layer:
    """Objects that went the same way.

    Attributes:
        dicts: Detectron2 annotation dicts, with iscrowd, in pixels of the file.
        steps: what was applied to their image since.
    """

    dicts: Sequence[AnnotationDict]
    steps: list[Transform] = field(default_factory=list)

    def annotations(
        self, size: tuple[int, int], with_masks: bool = True
    ) -> Iterator[tuple[AnnotationDict, Annotation]]:
        """Each object that is left in an image of (height, width), and where it is now."""
        for entry in self.dicts:
            # An RLE mask is traced only if the box of its object is still in the image.
            is_costly = with_masks and not isinstance(entry["segmentation"], list)
            if is_costly and not Annotation(entry, with_mask=False).apply(self.steps):
                continue
            annotation = Annotation(entry, with_masks)
            if annotation.apply(self.steps) and annotation.settle(*size):
                yield entry, annotation


class Sample:
    """What augmentations work on.

    Attributes:
        image: (H, W, C).
        context: of the run.
        layers: the objects.
        draw_another: makes another sample, gone through the operators before the current one; None
            where only one image is at hand.
    """

    def __init__(
        self, image: np.ndarray, context: ImageContext, dicts: Sequence[AnnotationDict] = ()
    ) -> None:
        """Start with one layer of objects."""
        self.image = image
        self.context = context
        self.layers = [Layer(dicts)]
        self.draw_another: Callable[[], Sample] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def transform(self, tfm: Transform) -> None:
        """Change the image, and note it for the objects."""
        self.image = tfm.apply_image(self.image)
        self.note(tfm)

    def note(self, tfm: Transform) -> None:
        """Note a transform that the image has gone through already."""
        steps = tfm.transforms if isinstance(tfm, TransformList) else [tfm]
        for layer in self.layers:
            layer.steps += steps

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) boxes of the objects that are left, XYXY in pixels; crowd regions left out."""
        boxes = [item.box for item in self.annotations(with_masks=False) if not item.is_crowd]
        return np.stack(boxes) if boxes else np.zeros((0, 4))

    def annotations(self, with_masks: bool = True) -> list[Annotation]:
        """The objects that are left, where they are now."""
        return [
            annotation
            for layer in self.layers
            for _, annotation in layer.annotations(self.size, with_masks)
        ]


class Annotation:
    """An object of an image.

    Attributes:
        category: index of its class.
        is_crowd: a region of many objects; its box is all there is of it.
        box: XYXY in pixels.
        polygons: its mask, all that is in one of these (N, 2) points; None for a crowd region.
        is_tight: whether the box is still the annotated one; otherwise the mask decides.
        is_gone: nothing of it is left in the image.
    """

    def __init__(self, entry: AnnotationDict, with_mask: bool = True) -> None:
        """Start where the annotation is.

        Args:
            entry: Detectron2 annotation dict, with iscrowd; it is not changed.
            with_mask: False follows the box alone.
        """
        self.category: int = entry["category_id"]
        self.is_crowd = bool(entry["iscrowd"])
        self.box = _corners(entry["bbox"], entry["bbox_mode"])
        self.polygons: list[np.ndarray] | None = None
        self.is_tight = True
        self.is_gone = False
        if with_mask and not self.is_crowd:
            self.polygons = _polygons(entry["segmentation"])

    def apply(self, steps: Sequence[Transform]) -> bool:
        """Go through all steps; False as soon as nothing is left."""
        for step in steps:
            if hasattr(step, "apply_annotation"):
                step.apply_annotation(self)
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

    def cover(self, above: np.ndarray) -> float:
        """Take away the pixels of (H, W) bool `above`.

        Returns:
            the share of its pixels that is still seen; 1 leaves the polygons as they were.
        """
        if self.polygons is None:
            return 1.0
        x1, y1, x2, y2 = self._reach(*above.shape)
        hidden = above[y1:y2, x1:x2]
        if not hidden.any():
            return 1.0
        before = self._drawn_inside(x1, y1, x2, y2)
        after = before & ~hidden
        seen, left = int(before.sum()), int(after.sum())
        if left == seen:
            return 1.0
        encoded = mask_util.encode(np.asfortranarray(after, np.uint8))
        self.polygons = [np.add(points, (x1, y1)) for points in polygons_of_rle(encoded)]
        self.is_tight = False
        return left / seen

    def rasterized(self, height: int, width: int) -> np.ndarray:
        """(H, W) bool: the pixels of the mask, of the box if it is a crowd region."""
        bits = np.zeros((height, width), dtype=bool)
        if self.polygons is None:
            x1, y1 = np.floor(self.box[:2]).astype(int)
            x2, y2 = np.ceil(self.box[2:]).astype(int)
            bits[y1:y2, x1:x2] = True
        else:
            x1, y1, x2, y2 = self._reach(height, width)
            bits[y1:y2, x1:x2] = self._drawn_inside(x1, y1, x2, y2)
        return bits

    def settle(self, height: int, width: int) -> bool:
        """The box inside the image, from the mask where it is not tight; False if all has left."""
        if not self.is_tight and not self.is_crowd:
            self.box = self._box_of_mask(height, width)
        self.box = np.clip(self.box, 0, [width, height] * 2)
        has_size = (self.box[2:] - self.box[:2] > _SMALLEST_SIDE).all()
        self.is_gone = not has_size or self.polygons == []
        return not self.is_gone

    def _box_of_mask(self, height: int, width: int) -> np.ndarray:
        if self.polygons is None:
            return self.box
        if not self.polygons:
            return np.zeros(4)
        points = np.concatenate(self.polygons)
        low, high = points.min(axis=0), points.max(axis=0)
        # Strictly inside: a polygon cut at the border may run along it where there is no area.
        if (low > 0).all() and (high < (width, height)).all():
            return np.concatenate([low, high])
        x, y, w, h = mask_util.toBbox(_run_lengths(self.polygons, height, width))
        return np.array([x, y, x + w, y + h])

    def _reach(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Whole pixels (x1, y1, x2, y2) outside of which there is nothing of the mask."""
        points = np.concatenate(self.polygons or [np.zeros((1, 2))])
        low = np.floor(points.min(axis=0)).astype(int) - 1  # drawing rounds to the next pixel
        high = np.ceil(points.max(axis=0)).astype(int) + 1
        x1, y1 = np.clip(low, 0, (width, height)).tolist()
        x2, y2 = np.clip(high, 0, (width, height)).tolist()
        return x1, y1, x2, y2

    def _drawn_inside(self, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
        """(y2 - y1, x2 - x1) bool: the pixels of the mask inside a rectangle."""
        if not self.polygons or x1 >= x2 or y1 >= y2:
            return np.zeros((y2 - y1, x2 - x1), dtype=bool)
        moved = [np.subtract(points, (x1, y1)) for points in self.polygons]
        return mask_util.decode(_run_lengths(moved, y2 - y1, x2 - x1)).view(bool)


def _polygons(segmentation: Any) -> list[np.ndarray]:
    """(N, 2) points each, of COCO polygons or an RLE mask."""
    if isinstance(segmentation, list):
        return [np.array(points, dtype=np.float64).reshape(-1, 2) for points in segmentation]
    return polygons_of_rle(segmentation)


def _run_lengths(polygons: Sequence[np.ndarray], height: int, width: int) -> Any:
    """The pixels of polygons, drawn by pycocotools."""
    flat = [points.reshape(-1).tolist() for points in polygons]
    return mask_util.merge(mask_util.frPyObjects(flat, height, width))


def _corners(box: Any, mode: BoxMode) -> np.ndarray:
    """(4,) XYXY of an annotation's box."""
    if mode != BoxMode.XYWH_ABS:
        return np.array(BoxMode.convert(box, mode, BoxMode.XYXY_ABS), dtype=np.float64)
    corners = np.array(box, dtype=np.float64)  # nearly all boxes are; convert takes 50 us for one
    corners[2:] += corners[:2]
    return corners
