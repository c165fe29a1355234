"""Objects in good order, told from the rest many at a time.

What: the checks of `objects.ObjectChecker` for polygons, boxes and areas, on arrays of hundreds of
objects at once, which takes a fraction of their time one by one. It only ever says "nothing to
object to, nothing to repair": every other object goes to the checker, which names what is wrong.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

_NUMBERS = {int, float}  # exactly: True is an int to Python
_LARGEST = 1e15
_FEWEST = 6  # numbers in a polygon


def in_good_order(
    segmentations: Sequence[Any],
    boxes: Sequence[Any],
    areas: Sequence[Any],
    sizes: Sequence[tuple[int, int]],
) -> list[bool]:
    """Which objects are kept exactly as they are: polygons inside reach, box inside the image.

    Args:
        segmentations: as annotation files have them.
        boxes: likewise, [x, y, width, height] in pixels.
        areas: likewise.
        sizes: (height, width) in pixels of the image that each object is in.
    """
    fits = [_has_form(*one) for one in zip(segmentations, boxes, areas, strict=True)]
    places = [place for place, fine in enumerate(fits) if fine]
    if not places:
        return fits
    numbers = [[*boxes[place], areas[place]] for place in places]
    parts = [segmentations[place] for place in places]
    counts = [len(one) for one in parts]
    polygons = list(chain.from_iterable(parts))
    coordinates = list(chain.from_iterable(polygons))
    if not set(map(type, chain(coordinates, chain.from_iterable(numbers)))) <= _NUMBERS:
        return [False] * len(fits)
    frames = np.array([sizes[place] for place in places], dtype=np.float64)[:, ::-1]
    try:
        fine = _boxes_fit(np.array(numbers, dtype=np.float64), frames)
        points = np.array(coordinates, dtype=np.float64).reshape(-1, 2)
    except OverflowError:  # an integer that no float can hold
        return [False] * len(fits)
    lengths = [len(one) // 2 for one in polygons]
    fine &= _polygons_fit(points, np.array(lengths), np.array(counts), frames)
    for place, is_fine in zip(places, fine.tolist(), strict=True):
        fits[place] = is_fine
    return fits


def _has_form(segmentation: Any, box: Any, area: Any) -> bool:
    if type(segmentation) is not list or type(box) is not list or len(box) != 4:
        return False
    if not segmentation or type(area) not in _NUMBERS:
        return False
    for polygon in segmentation:
        if type(polygon) is not list or len(polygon) < _FEWEST or len(polygon) % 2:
            return False
    return True


def _boxes_fit(numbers: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Of rows x, y, width, height, area; frames are width and height."""
    corner, side, area = numbers[:, :2], numbers[:, 2:4], numbers[:, 4]
    end = corner + side
    inside = (corner >= 0) & (side > 0) & (end > corner) & (end <= frames)
    return inside.all(axis=1) & (area > 0) & (area < _LARGEST)  # both false for NaN


def _polygons_fit(
    points: np.ndarray, lengths: np.ndarray, counts: np.ndarray, frames: np.ndarray
) -> np.ndarray:
    """Of objects with `counts` polygons each, of `lengths` points each, one after the other."""
    starts = np.cumsum(lengths) - lengths
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    frame = np.repeat(frames, counts, axis=0)
    farthest = 2 * frame.max(axis=1)
    # NaN, which the reductions hand on, is near nothing
    near = (low.min(axis=1) > -farthest) & (high.max(axis=1) < 2 * farthest)
    shows = (high > np.maximum(low, 0)).all(axis=1) & (low < frame).all(axis=1)
    first = np.cumsum(counts) - counts
    return np.logical_and.reduceat(near, first) & np.logical_or.reduceat(shows, first)
