"""LabelMe's shapes to objects: polygons where all parts are, run-length masks otherwise.

Shapes of one label and one `group_id` are one object, as in LabelMe's own converters
(labelme/utils/shape.py, examples/instance_segmentation/labelme2coco.py). LabelMe has no holes; here
a part that lies inside another part of its group is a hole in it (and one inside the hole is solid
again): elsewhere such a part would change nothing, so nobody draws it for another reason. A `mask`
shape has its pixels as a base64 PNG between two corners.
"""

import base64
import io
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
from PIL import Image

from ..rle import as_text, rle_of_pixels
from .annotations import ImageFrame, are_drawable, as_rle
from .problems import Kind

NO_AREA = Kind(
    "shape without an area",
    "Mask R-CNN learns from areas: draw polygons, rectangles, circles or masks",
    skippable=True,
)
BAD_MASK_SHAPE = Kind(
    "mask shape without a PNG and its corners",
    "draw the object again, or delete it",
    skippable=True,
)
OUTLINES = ("polygon", "rectangle", "circle", "oriented_rectangle")
_SAGITTA = 0.1  # pixels that a circle's outline may lie inside it
_CIRCLE_POINTS = (16, 720)
_FARTHEST = 2**20
_INSIDE = 0.99  # part of a part's pixels that must be in another for it to be a hole


@dataclass
class Instance:
    """The shapes of one object.

    Attributes:
        label: its class.
        where: names it in messages.
        polygons: the outlines of its parts, flat lists; None for one whose points are not numbers.
        masks: (rows, columns) of the pixels of its mask shapes.
        flags: names of the flags that are set on any of its shapes.
        fault: what makes it unusable, and why; None if nothing does.
    """

    label: str
    where: str
    polygons: list[Any] = field(default_factory=list)
    masks: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    fault: tuple[Kind, str] | None = None

    def add(self, shape: dict[str, Any]) -> None:
        """Take one more shape as the json has it."""
        flags = shape.get("flags")
        if isinstance(flags, dict):
            self.flags |= {name for name, value in flags.items() if value is True}
        kind = shape.get("shape_type") or "polygon"
        if kind in OUTLINES:
            self.polygons.append(_outline(kind, shape.get("points")))
        elif kind != "mask":
            self.fault = NO_AREA, f"{self.where}: {kind!r}"
        elif (pixels := _mask_pixels(shape)) is None:
            self.fault = BAD_MASK_SHAPE, self.where
        else:
            self.masks.append(pixels)

    def segmentation(self, frame: ImageFrame) -> Any:
        """COCO's; polygons that cannot be drawn are left for the check to name."""
        if self.polygons and not are_drawable(self.polygons, frame):
            return self.polygons
        drawn = [as_rle([polygon], frame) for polygon in self.polygons]
        depths = _depths(drawn)
        if not self.masks and not any(depths):
            return self.polygons
        placed = [_placed(pixels, frame) for pixels in self.masks]
        if not drawn and len(placed) == 1:
            return placed[0]
        return _composed(drawn + placed, depths + [0] * len(placed), frame)


def instances_of(shapes: list[dict[str, Any]], name: str) -> list[Instance]:
    """Shapes joined by label and group; each must have a label.

    Args:
        name: of the json, for messages.
    """
    groups: dict[tuple[str, Any], Instance] = {}
    for number, shape in enumerate(shapes, 1):
        label, group = shape["label"], shape.get("group_id")
        grouped = isinstance(group, int | str)
        key = (label, (type(group), group) if grouped else (None, number))
        where = f"{name} shape {number} ({label!r}" + (f", group {group})" if grouped else ")")
        groups.setdefault(key, Instance(label, where)).add(shape)
    return list(groups.values())


def has_holes(polygons: list[list[float]], frame: ImageFrame) -> bool:
    """Whether polygons of one group would be read as having holes."""
    return len(polygons) > 1 and any(_depths([as_rle([one], frame) for one in polygons]))


def _outline(kind: str, points: Any) -> list[float] | None:
    """A flat polygon, None for points that are not pairs of numbers, or not as many as needed."""
    corners = _points(points)
    if corners is None:
        return None
    if kind == "circle":
        return _circle(corners) if len(corners) == 2 else None
    if kind == "rectangle" and len(corners) == 2:
        (left, top), (right, bottom) = corners.tolist()
        return [left, top, right, top, right, bottom, left, bottom]
    return corners.reshape(-1).tolist()


def _points(points: Any) -> np.ndarray | None:
    """(N, 2) float64, None if it is not a list of pairs of numbers."""
    try:
        array = np.asarray(points)
    except ValueError:  # lists of different lengths inside
        return None
    is_pairs = array.ndim == 2 and array.shape[1] == 2 and array.dtype.kind in "iuf"
    return array.astype(np.float64) if is_pairs else None


def _circle(points: np.ndarray) -> list[float] | None:
    """A polygon of the circle with this centre, through this point."""
    (x, y), (dx, dy) = points[0], points[1] - points[0]
    radius = math.hypot(dx, dy)
    if not math.isfinite(radius):
        return None
    sides = math.pi / math.acos(1 - min(_SAGITTA / radius, 1.0)) if radius else 0
    fewest, most = _CIRCLE_POINTS
    angle = 2 * np.pi * np.arange(count := min(max(math.ceil(sides), fewest), most)) / count
    outline = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
    return outline.reshape(-1).tolist()


def _mask_pixels(shape: dict[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows and columns of a mask shape's pixels; None if it has no PNG or no corner."""
    corners = _points(shape.get("points"))
    if corners is None or not len(corners) or not np.abs(corners).max() < _FARTHEST:
        return None
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape.get("mask") or ""))) as picture:
            rows, columns = np.nonzero(np.asarray(picture.convert("L")))
    except Exception:  # Pillow's parsers raise whatever a damaged file makes them stumble over
        return None
    left, top = np.round(corners[0]).astype(np.int64)
    return rows + top, columns + left


def _placed(pixels: tuple[np.ndarray, np.ndarray], frame: ImageFrame) -> dict[str, Any]:
    """RLE of pixels; those outside the image are cut."""
    rows, columns = pixels
    kept = (rows >= 0) & (rows < frame.height) & (columns >= 0) & (columns < frame.width)
    place = (columns * frame.height + rows)[kept]
    return rle_of_pixels(place, frame.height, frame.width)


def _depths(drawn: list[dict[str, Any]]) -> list[int]:
    """In how many other parts each part lies."""
    areas = [float(mask_util.area(one)) for one in drawn]
    depths = []
    for k, part in enumerate(drawn):
        larger = [other for n, other in enumerate(drawn) if areas[n] > areas[k] > 0]
        shared = [float(mask_util.area(mask_util.merge([part, one], True))) for one in larger]
        depths.append(sum(area >= _INSIDE * areas[k] for area in shared))
    return depths


def _composed(parts: list[dict[str, Any]], depths: list[int], frame: ImageFrame) -> dict[str, Any]:
    """From the outermost parts inwards: even depths add pixels, odd ones take them away."""
    whole = np.zeros((frame.height, frame.width), np.uint8, order="F")
    for depth, part in sorted(zip(depths, parts, strict=True), key=lambda one: one[0]):
        whole[mask_util.decode(part).astype(bool)] = depth % 2 == 0
    return as_text(mask_util.encode(whole))
