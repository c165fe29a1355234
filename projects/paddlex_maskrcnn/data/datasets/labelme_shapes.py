"""The shapes of a LabelMe json: outlines and masks of one object, joined, with holes.

Shapes of one label and one `group_id` are one object, as in LabelMe's own converters
(labelme/utils/shape.py, examples/instance_segmentation/labelme2coco.py): polygons where all parts are,
run-length masks otherwise. LabelMe has no holes; here a part that lies inside another part of its group
is a hole in it (and one inside the hole is solid again): elsewhere such a part would change nothing, so
nobody draws it for another reason.

A `mask` shape has its pixels as a base64 PNG between two corners. A few hundred kilobytes of it can be a
hundred million pixels, so its size is looked at before it is decoded, and what is decoded becomes
run lengths at once.

X-AnyLabeling's `rotation` and `quadrilateral` are outlines of four points, its `difficult` is VOC's.
"""

from __future__ import annotations

import base64
import io
import math
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
from PIL import Image

from ..image_headers import Size
from ..masks import as_text, runs_of
from .annotations import (
    BAD_POLYGON,
    BAD_TRUTH,
    SHORT_PART,
    ImageFrame,
    are_drawable,
    as_rle,
    without_short_parts,
)
from .outlines import ellipse, rectangle
from .problems import Kind
from .values import WRITTEN_OTHERWISE, integer, is_plain_truth, number, shown, truth

NO_AREA = Kind(
    "shape without an area",
    "Mask R-CNN learns from areas: draw polygons, rectangles, circles or masks (points and lines have none)",
    skippable=True,
)
BAD_MASK_SHAPE = Kind(
    "mask shape without a PNG and its corners",
    "draw the object again, or delete it",
    skippable=True,
)
BAD_GROUP = Kind(
    "shape whose group_id is neither a number nor a text",
    "shapes of one object need the same number, others null",
    skippable=True,
)

# shape_type of outlines -> how many points it has; None for three or more
_OUTLINES = {
    "polygon": None, "rectangle": None, "oriented_rectangle": None, "circle": 2, "rotation": 4,
    "quadrilateral": 4,
}  # fmt: skip
_MARKS = ("iscrowd", "difficult")
_FARTHEST = 2**20
_INSIDE = 0.99  # part of a part's pixels that must be in another for it to be a hole
_MARGIN = 2  # pixels that a mask may be larger than its image: corners are rounded, and inclusive
_LARGE = 2**24  # pixels; masks beyond are decoded one at a time, whatever the number of threads
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Patch:
    """The pixels of a mask shape.

    Attributes:
        left, top: where its first pixel is in the image; may be outside.
        rle: compressed, of the size of the patch.
    """

    left: int
    top: int
    rle: dict[str, Any]


@dataclass
class Instance:
    """The shapes of one object.

    Attributes:
        label: its class.
        where: names it in messages.
        polygons: the outlines of its parts, flat lists.
        masks: its mask shapes.
        marks: those of `iscrowd` and `difficult` that are set on any of its shapes.
        fault: what makes it unusable, and why; None if nothing does.
        repaired: titles of what was set right.
    """

    label: str
    where: str
    polygons: list[list[float]] = field(default_factory=list)
    masks: list[Patch] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    fault: tuple[Kind, str] | None = None
    repaired: list[str] = field(default_factory=list)

    def add(self, shape: dict[str, Any], image_size: Size | None = None) -> None:
        """Take one more shape as the json has it.

        Args:
            image_size: (height, width) that the json says, which no mask may exceed.
        """
        self._add_marks(shape)
        kind = shape.get("shape_type") or "polygon"
        points = _points(shape.get("points"), self.repaired)
        if kind == "mask":
            patch = _patch(shape, points, image_size)
            if isinstance(patch, str):
                self.fail(BAD_MASK_SHAPE, patch)
            else:
                self.masks.append(patch)
        elif not isinstance(kind, str) or kind not in _OUTLINES:
            self.fail(NO_AREA, f"{kind!r:.40}" if isinstance(kind, str) else shown(kind))
        elif points is None:
            self.fail(BAD_POLYGON, f"points of the {kind} are not pairs of numbers")
        elif _OUTLINES[kind] not in (None, len(points)):
            self.fail(BAD_POLYGON, f"{kind} of {len(points)} points instead of {_OUTLINES[kind]}")
        elif (outline := _outline(kind, points)) is None:
            self.fail(BAD_POLYGON, f"{kind} of no finite radius")
        else:
            self.polygons.append(outline)

    def finish(self) -> None:
        """Leave out parts that are too short, once all shapes are here."""
        parts = without_short_parts(self.polygons)
        if self.masks and all(len(part) < 6 for part in parts):
            parts = []
        if len(parts) < len(self.polygons):
            self.polygons = parts
            self.repaired.append(SHORT_PART)

    def segmentation(self, frame: ImageFrame) -> Any:
        """COCO's; polygons that cannot be drawn are left for the check to name."""
        if self.polygons and not are_drawable(self.polygons, frame):
            return self.polygons
        drawn = [as_rle([polygon], frame) for polygon in self.polygons]
        depths = _depths(drawn)
        if not self.masks and not any(depths):
            return self.polygons
        masks = [in_frame(patch, frame) for patch in self.masks]
        if not drawn and len(masks) == 1:
            return masks[0]
        return _composed(drawn + masks, depths + [0] * len(masks), frame)

    def _add_marks(self, shape: dict[str, Any]) -> None:
        flags = shape.get("flags")
        given = {**flags} if isinstance(flags, dict) else {}
        if "difficult" in shape:  # X-AnyLabeling's
            given["difficult"] = shape["difficult"] or given.get("difficult")
        for name in _MARKS:
            value = given.get(name)
            mark = truth(value)
            if mark is None:
                self.fail(BAD_TRUTH, f"{name} is {shown(value)}")
            elif not is_plain_truth(value):
                self.repaired.append(WRITTEN_OTHERWISE)
            if mark:
                self.marks.add(name)

    def fail(self, kind: Kind, why: str) -> None:
        """Remember why it cannot be used, the first reason only."""
        self.fault = self.fault or (kind, f"{self.where}: {why}")


def instances_of(
    shapes: list[dict[str, Any]], name: str, image_size: Size | None = None
) -> list[Instance]:
    """Shapes joined by label and group; each must have a label.

    Args:
        name: of the json, for messages.
        image_size: (height, width) that the json says.
    """
    groups: dict[tuple[str, Any], Instance] = {}
    for position, shape in enumerate(shapes, 1):
        label, given = shape["label"], shape.get("group_id")
        group = _group_of(given)
        key = (label, (None, position) if group is None else (group,))
        where = f"{name} shape {position} ({label!r}"
        where += ")" if group is None else f", group {group!r:.40})"
        instance = groups.setdefault(key, Instance(label, where))
        if group is None and not (given is None or isinstance(given, str)):
            instance.fail(BAD_GROUP, f"group_id is {shown(given)}")
        instance.add(shape, image_size)
    for instance in groups.values():
        instance.finish()
    return list(groups.values())


def has_holes(polygons: list[list[float]], frame: ImageFrame) -> bool:
    """Whether polygons of one group would be read as having holes."""
    return len(polygons) > 1 and any(_depths([as_rle([polygon], frame) for polygon in polygons]))


def _group_of(value: Any) -> int | str | None:
    """The number or text that joins shapes; None without one."""
    number = integer(value)
    if number is not None or not isinstance(value, str):
        return number
    return value.strip() or None


def _outline(kind: str, corners: np.ndarray) -> list[float] | None:
    """A flat polygon; None for a circle that is none."""
    if kind == "circle":
        (x, y), radius = corners[0].tolist(), math.hypot(*(corners[1] - corners[0]))
        return ellipse(x, y, radius, radius)
    if kind == "rectangle" and len(corners) == 2:
        return rectangle(*corners.ravel().tolist())
    return corners.reshape(-1).tolist()


def _points(points: Any, repaired: list[str]) -> np.ndarray | None:
    """(N, 2) float64, None if it is not a list of pairs of numbers."""
    if points == []:
        return np.zeros((0, 2))
    try:
        array = np.asarray(points)
    except ValueError:  # lists of different lengths inside
        return None
    if array.ndim != 2 or array.shape[1] != 2:
        return None
    if array.dtype.kind == "U":
        numbers = [number(value) for pair in points for value in pair]
        if None in numbers:
            return None
        repaired.append(WRITTEN_OTHERWISE)
        return np.array(numbers, np.float64).reshape(-1, 2)
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _patch(
    shape: dict[str, Any], corners: np.ndarray | None, image_size: Size | None
) -> Patch | str:
    """The pixels of a mask shape, or why there are none."""
    if corners is None or not len(corners) or not np.abs(corners).max() < _FARTHEST:
        return "points are not its corners"
    left, top = np.round(corners[0]).astype(int).tolist()
    try:
        data = base64.b64decode(shape.get("mask") or "")
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:  # reads its header only
            width, height = picture.size
            most = image_size or (np.ptp(corners, axis=0)[::-1] + 1).tolist()
            if height > most[0] + _MARGIN or width > most[1] + _MARGIN:
                around = "image" if image_size else "corners"
                return f"PNG of {width}x{height} in {around} of {most[1]:.0f}x{most[0]:.0f}"
            with _one_at_a_time if width * height > _LARGE else nullcontext():
                return Patch(left, top, encoded(np.asarray(picture.convert("L")) != 0))
    except (
        Exception
    ) as error:  # Pillow's parsers raise whatever a damaged file makes them stumble over
        return f"no PNG that can be read ({error})"[:120]


def encoded(pixels: np.ndarray) -> dict[str, Any]:
    """Compressed RLE of (H, W) bool."""
    return as_text(mask_util.encode(np.asfortranarray(pixels.view(np.uint8))))


def in_frame(patch: Patch, frame: ImageFrame) -> dict[str, Any]:
    """RLE in the image; what is outside is cut."""
    height, width = patch.rle["size"]
    top, bottom = max(patch.top, 0), min(patch.top + height, frame.height)
    left, right = max(patch.left, 0), min(patch.left + width, frame.width)
    if top >= bottom or left >= right:
        return as_text(mask_util.encode(np.zeros((frame.height, frame.width), np.uint8, "F")))
    # only the columns that it touches are drawn, the others are runs of nothing
    columns = np.zeros((frame.height, right - left), np.uint8, order="F")
    columns[top:bottom] = mask_util.decode(patch.rle)[
        top - patch.top : bottom - patch.top, left - patch.left : right - patch.left
    ]
    runs = runs_of(mask_util.encode(columns)).tolist()
    runs[0] += left * frame.height
    behind = (frame.width - right) * frame.height
    if len(runs) % 2:
        runs[-1] += behind
    elif behind:
        runs.append(behind)
    size = [frame.height, frame.width]
    return as_text(mask_util.frPyObjects({"size": size, "counts": runs}, *size))


def _depths(drawn: list[dict[str, Any]]) -> list[int]:
    """In how many other parts each part lies."""
    areas = [float(mask_util.area(part)) for part in drawn]
    depths = []
    for k, part in enumerate(drawn):
        larger = [other for n, other in enumerate(drawn) if areas[n] > areas[k] > 0]
        shared = [float(mask_util.area(mask_util.merge([part, other], True))) for other in larger]
        depths.append(sum(area >= _INSIDE * areas[k] for area in shared))
    return depths


def _composed(parts: list[dict[str, Any]], depths: list[int], frame: ImageFrame) -> dict[str, Any]:
    """From the outermost parts inwards: even depths add pixels, odd ones take them away."""
    whole = np.zeros((frame.height, frame.width), np.uint8, order="F")
    for depth, part in sorted(zip(depths, parts, strict=True), key=lambda pair: pair[0]):
        whole[mask_util.decode(part).astype(bool)] = depth % 2 == 0
    return as_text(mask_util.encode(whole))
