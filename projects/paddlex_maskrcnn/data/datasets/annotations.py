"""An annotation of any format, checked and brought into Detectron2's form.

All readers hand their boxes and masks to `AnnotationChecker`, so that the same faults are named,
skipped or repaired alike in every format. Most annotations are in good order; `in_good_order` tells
these from the rest on arrays of hundreds at once, which takes a fraction of the time one by one. It
only ever says "nothing to object to, nothing to repair": every other annotation goes through
`AnnotationChecker.check`, which names what is wrong.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pycocotools.mask as mask_util

from ..masks import checked_rle
from .problems import Kind, Problems
from .values import WRITTEN_OTHERWISE, number, shown

NO_MASK = Kind(
    "annotation without segmentation",
    "Mask R-CNN learns from masks: export polygons or RLE from the labelling tool",
    skippable=True,
)
FEW_POINTS = Kind(
    "polygon with fewer than three points",
    "draw the object again, or delete the annotation",
    skippable=True,
)
BAD_POLYGON = Kind(
    "polygon that is not a list of x, y pairs of finite numbers near the image",
    "segmentation must be a list of polygons [[x1, y1, x2, y2, ...], ...] in pixels",
    skippable=True,
)
BAD_RLE = Kind(
    "RLE mask that does not fit its image",
    "write the mask again at the size [height, width] of the image",
    skippable=True,
)
EMPTY_MASK = Kind(
    "mask without a single pixel in the image",
    "draw the object again, or delete the annotation",
    skippable=True,
)
BAD_BOX = Kind(
    "bbox that is not four finite numbers",
    "bbox must be [x, y, width, height] in pixels",
    skippable=True,
)
BOX_OUTSIDE = Kind(
    "box outside the image or without area",
    "bbox must be [x, y, width, height] in pixels of the image (not two corners)",
    skippable=True,
)
CLIPPED = "box partly outside the image, cut at its border"
BOX_FROM_MASK = "annotation without bbox, taken from its mask"
EMPTY_BOX = "bbox that is empty or has no area, taken from the mask"
SHORT_PART = "part of an outline with fewer than three points, left out"
BAD_TRUTH = Kind(
    "mark that is neither true nor false",
    "iscrowd, ignore and difficult must be 0 or 1 (or true or false)",
    skippable=True,
)

_TOLERANCE = 1.0  # pixels: the +1 of inclusive boxes and rounding are not worth a note
_LARGEST = 1e15  # of a number: beyond, pixels and even their halves are lost in a float64
_LEAST_POLYGON = 6  # numbers in a polygon: three points
_EXACT_NUMBERS = {int, float}  # by type, since True is an int to `isinstance`

# detectron2.structures.BoxMode.XYWH_ABS, which is an int; reading annotations needs neither it nor torch
XYWH_ABS = 1


@dataclass(frozen=True)
class ImageFrame:
    """The image an object is in.

    Attributes:
        height, width: in pixels.
        as_stored: whether its pixels are those of the file whatever its EXIF orientation and size say.
    """

    height: int
    width: int
    as_stored: bool = False


@dataclass(slots=True)
class RawAnnotation:
    """An annotation as its file has it, unchecked.

    Attributes:
        where: what names it in messages, as a text or made into one by `str`.
        category: its class, from 0.
        segmentation: polygons or RLE as in COCO files, pixels.
        bbox: [x, y, width, height] in pixels; None to take it from the mask.
        area: of the mask in square pixels; None to work it out.
        is_crowd: a region of uncounted objects: neither object nor background.
        is_ignored: trains as any other, but counts neither for nor against in evaluation.
        number: its annotation id; None to number it.
    """

    where: object
    category: int
    segmentation: Any
    bbox: Any = None
    area: Any = None
    is_crowd: bool = False
    is_ignored: bool = False
    number: int | None = None


class _UnusableError(Exception):
    """Why an annotation cannot be used."""

    def __init__(self, kind: Kind, detail: str = "") -> None:
        super().__init__(detail)
        self.kind = kind


class AnnotationChecker:
    """Checks annotations and collects what is wrong in `problems`."""

    def __init__(self, problems: Problems, boxes_expected: bool = True) -> None:
        """Keep the list that problems go to.

        Args:
            boxes_expected: whether the format has boxes, so that a missing one deserves a note.
        """
        self.problems = problems
        self.boxes_expected = boxes_expected

    def check_all(
        self, annotations: Sequence[RawAnnotation], frames: Sequence[ImageFrame]
    ) -> list[dict[str, Any] | None]:
        """`check` of each annotation in its frame, most of them at once."""
        fine = in_good_order(
            [annotation.segmentation for annotation in annotations],
            [annotation.bbox for annotation in annotations],
            [annotation.area for annotation in annotations],
            [(frame.height, frame.width) for frame in frames],
        )
        return [
            _unchanged(annotation) if is_fine else self.check(annotation, frame)
            for annotation, frame, is_fine in zip(annotations, frames, fine, strict=True)
        ]

    def check(self, annotation: RawAnnotation, frame: ImageFrame) -> dict[str, Any] | None:
        """Box, mask and area of an annotation, or None after noting why it cannot be used.

        Returns:
            bbox (inside the image), bbox_mode, segmentation (polygons or compressed RLE), area.
        """
        repairs: list[str] = []
        try:
            mask = _checked_mask(_mended(annotation.segmentation, repairs), frame)
            box = self._box(annotation.bbox, mask, frame, repairs)
        except _UnusableError as fault:
            where = str(annotation.where)
            self.problems.add(fault.kind, f"{where}: {fault}" if str(fault) else where)
            return None
        for title in dict.fromkeys(repairs):
            self.problems.repair(title, str(annotation.where))
        area = annotation.area
        if not _is_finite(area) or area <= 0:
            area = float(mask_util.area(as_rle(mask, frame)))
        return {
            "bbox": box,
            "bbox_mode": XYWH_ABS,
            "segmentation": mask,
            "area": float(area),
        }

    def _box(self, bbox: Any, mask: Any, frame: ImageFrame, repairs: list[str]) -> list[float]:
        if bbox is not None and not _is_empty(bbox):
            numbers = _as_numbers(bbox, repairs) if isinstance(bbox, list) else None
            if numbers is None or len(numbers) != 4 or not all(map(_is_finite, numbers)):
                raise _UnusableError(BAD_BOX, _short(bbox))
            x, y, width, height = map(float, numbers)
            box = _clipped(x, y, width, height, frame)  # raises when nothing is left
            if max(-x, -y, x + width - frame.width, y + height - frame.height) > _TOLERANCE:
                repairs.append(CLIPPED)
            return box
        if bbox is not None:
            repairs.append(EMPTY_BOX)
        elif self.boxes_expected:
            repairs.append(BOX_FROM_MASK)
        x, y, width, height = bounds_of(mask)
        return _clipped(x, y, width, height, frame)


def bounds_of(mask: Any) -> list[float]:
    """[x, y, width, height] around polygons (their corners) or an RLE mask (its pixels)."""
    if isinstance(mask, dict):
        return mask_util.toBbox(mask).tolist()
    xs = [x for polygon in mask for x in polygon[0::2]]
    ys = [y for polygon in mask for y in polygon[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def as_rle(mask: Any, frame: ImageFrame) -> dict[str, Any]:
    """The pixels of polygons (of any of them, drawn by pycocotools) or of an RLE mask."""
    if isinstance(mask, dict):
        return mask
    return mask_util.merge(mask_util.frPyObjects(mask, frame.height, frame.width))


def are_drawable(polygons: list[Any], frame: ImageFrame) -> bool:
    """Whether these polygons would pass the check."""
    try:
        return bool(_checked_polygons(polygons, frame))
    except _UnusableError:
        return False


def _unchanged(annotation: RawAnnotation) -> dict[str, Any]:
    return {
        "bbox": [float(value) for value in annotation.bbox],
        "bbox_mode": XYWH_ABS,
        "segmentation": annotation.segmentation,
        "area": float(annotation.area),
    }


def without_short_parts(polygons: list[Any]) -> list[Any]:
    """Polygons of three points or more, as Detectron2 keeps them; all of them where none has as many."""
    long = [part for part in polygons if not _is_short(part)]
    return long or polygons


def _is_short(polygon: Any) -> bool:
    """Whether it is a list of fewer than three pairs; one of another form is a fault, not short."""
    return isinstance(polygon, list) and len(polygon) < _LEAST_POLYGON and len(polygon) % 2 == 0


def _mended(segmentation: Any, repairs: list[str]) -> Any:
    """Polygons without what is too short, numbers as numbers; anything else as it is."""
    if not isinstance(segmentation, list):
        return segmentation
    polygons = without_short_parts(segmentation)
    if len(polygons) < len(segmentation):
        repairs.append(SHORT_PART)
    return [_as_numbers(part, repairs) if isinstance(part, list) else part for part in polygons]


def _as_numbers(values: list[Any], repairs: list[str]) -> list[Any]:
    """The list with texts that are numbers as these; as it is if a text is none."""
    if not any(isinstance(value, str) for value in values):
        return values
    numbers = [number(value) if isinstance(value, str) else value for value in values]
    if None in numbers:
        return values
    repairs.append(WRITTEN_OTHERWISE)
    return numbers


def _is_empty(bbox: Any) -> bool:
    """Whether a box says nothing: no numbers, or sides of 0 (one of them, or both)."""
    if bbox == []:
        return True
    is_box = isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_finite, bbox))
    return is_box and min(bbox[2:]) == 0


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return shown(value)
    texts = [f"{entry:g}" if _is_finite(entry) else shown(entry) for entry in value[:6]]
    return f"[{', '.join(texts)}{', ...' if len(value) > 6 else ''}]"


def _clipped(x: float, y: float, width: float, height: float, frame: ImageFrame) -> list[float]:
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, float(frame.width)), min(y + height, float(frame.height))
    if width <= 0 or height <= 0 or right <= left or bottom <= top:
        box = ", ".join(f"{number:g}" for number in (x, y, width, height))
        raise _UnusableError(BOX_OUTSIDE, f"[{box}] in {frame.width}x{frame.height}")
    if left == x and top == y and right == x + width and bottom == y + height:
        return [x, y, width, height]  # to the last bit what the file says
    return [left, top, right - left, bottom - top]


def _checked_mask(segmentation: Any, frame: ImageFrame) -> Any:
    if not segmentation:
        raise _UnusableError(NO_MASK)
    if isinstance(segmentation, list):
        return _checked_polygons(segmentation, frame)
    if not isinstance(segmentation, dict):
        raise _UnusableError(BAD_POLYGON, type(segmentation).__name__)
    rle = checked_rle(segmentation, frame.height, frame.width)
    if isinstance(rle, str):
        raise _UnusableError(BAD_RLE, rle)
    if not mask_util.area(rle):
        raise _UnusableError(EMPTY_MASK)
    return rle


def _checked_polygons(polygons: list[Any], frame: ImageFrame) -> list[Any]:
    reaches_image = False
    farthest = 2 * max(frame.width, frame.height)  # drawing what is farther takes memory and time
    for polygon in polygons:
        points = _points(polygon)
        if points is None:
            raise _UnusableError(BAD_POLYGON, _fault_of(polygon))
        if len(points) < 3:
            raise _UnusableError(FEW_POINTS, f"{len(points)} points")
        left, top = points.min(axis=0).tolist()
        right, bottom = points.max(axis=0).tolist()
        # each compared by itself, since NaN gets lost in Python's min and max
        sides = left > -farthest, top > -farthest, right < 2 * farthest, bottom < 2 * farthest
        if not all(sides):
            is_far = ~((points > -farthest) & (points < 2 * farthest)).all(axis=1)
            worst = int(np.flatnonzero(is_far)[0])
            x, y = points[worst].tolist()
            raise _UnusableError(BAD_POLYGON, f"point {worst + 1} is {x:g}, {y:g}")
        reaches_image |= (
            right > max(left, 0) and bottom > max(top, 0)
            and left < frame.width and top < frame.height
        )  # fmt: skip
    if not reaches_image:
        raise _UnusableError(EMPTY_MASK)
    return polygons


def _fault_of(polygon: Any) -> str:
    """Why it is no flat list of coordinates."""
    if not isinstance(polygon, list):
        return f"instead of a list there is {shown(polygon)}"
    strange = [k for k, value in enumerate(polygon) if number(value) is None]
    if strange:
        return f"entry {strange[0] + 1} is {shown(polygon[strange[0]])}"
    return f"{len(polygon)} numbers, the last x has no y" if len(polygon) % 2 else ""


def _points(polygon: Any) -> np.ndarray | None:
    """(N, 2) array of a flat list of coordinates; None if it is not one."""
    if not isinstance(polygon, list) or len(polygon) % 2:
        return None
    try:
        flat = np.asarray(polygon)
    except ValueError:  # lists of different lengths inside
        return None
    if flat.ndim != 1 or (flat.size and flat.dtype.kind not in "iuf"):
        return None
    return flat.reshape(-1, 2)


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < _LARGEST and math.isfinite(value)


def in_good_order(
    segmentations: Sequence[Any],
    boxes: Sequence[Any],
    areas: Sequence[Any],
    sizes: Sequence[tuple[int, int]],
) -> list[bool]:
    """Which annotations stay exactly as they are: polygons near enough, box inside the image.

    Args:
        segmentations: as annotation files have them.
        boxes: likewise, [x, y, width, height] in pixels.
        areas: likewise.
        sizes: (height, width) in pixels of the image that each annotation is in.
    """
    fits = [_has_form(*fields) for fields in zip(segmentations, boxes, areas, strict=True)]
    candidates = [index for index, has_form in enumerate(fits) if has_form]
    if not candidates:
        return fits
    numbers = [[*boxes[index], areas[index]] for index in candidates]
    parts = [segmentations[index] for index in candidates]
    counts = [len(part) for part in parts]
    polygons = list(chain.from_iterable(parts))
    coordinates = list(chain.from_iterable(polygons))
    if not set(map(type, chain(coordinates, chain.from_iterable(numbers)))) <= _EXACT_NUMBERS:
        return [False] * len(fits)
    frames = np.array([sizes[index] for index in candidates], dtype=np.float64)[:, ::-1]
    try:
        fine = _boxes_fit(np.array(numbers, dtype=np.float64), frames)
        points = np.array(coordinates, dtype=np.float64).reshape(-1, 2)
    except OverflowError:  # an integer that no float can hold
        return [False] * len(fits)
    lengths = [len(polygon) // 2 for polygon in polygons]
    fine &= _polygons_fit(points, np.array(lengths), np.array(counts), frames)
    for index, is_fine in zip(candidates, fine.tolist(), strict=True):
        fits[index] = is_fine
    return fits


def _has_form(segmentation: Any, box: Any, area: Any) -> bool:
    if type(segmentation) is not list or type(box) is not list or len(box) != 4:
        return False
    if not segmentation or type(area) not in _EXACT_NUMBERS:
        return False
    for polygon in segmentation:
        if type(polygon) is not list or len(polygon) < _LEAST_POLYGON or len(polygon) % 2:
            return False
    return True


def _boxes_fit(numbers: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """(N,) of rows x, y, width, height, area; frames are (N, 2) width and height."""
    corner, side, area = numbers[:, :2], numbers[:, 2:4], numbers[:, 4]
    end = corner + side
    inside = (corner >= 0) & (side > 0) & (end > corner) & (end <= frames)
    return inside.all(axis=1) & (area > 0) & (area < _LARGEST)  # both false for NaN


def _polygons_fit(
    points: np.ndarray, lengths: np.ndarray, counts: np.ndarray, frames: np.ndarray
) -> np.ndarray:
    """(N,) of annotations with `counts` polygons each, of `lengths` points each, in a row."""
    starts = np.cumsum(lengths) - lengths
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    frame = np.repeat(frames, counts, axis=0)
    farthest = 2 * frame.max(axis=1)
    # NaN, which the reductions hand on, is near nothing
    near = (low.min(axis=1) > -farthest) & (high.max(axis=1) < 2 * farthest)
    shows = (high > np.maximum(low, 0)).all(axis=1) & (low < frame).all(axis=1)
    first = np.cumsum(counts) - counts
    return np.logical_and.reduceat(near, first) & np.logical_or.reduceat(shows, first)
