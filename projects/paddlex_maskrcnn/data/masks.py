"""Run-length masks as COCO writes them: checked, built from pixels, traced to polygons.

Checked before pycocotools sees them, because it trusts the counts: a string of the wrong length
decodes to whatever was in memory. The string form is COCO's (cocoapi, common/maskApi.c): groups of
five bits from character 48 on, the sixth bit says that more follow, and from the fourth count on
each is a difference to the one two before it.

Polygons of a mask run along the edges of its pixels, so that pycocotools draws the same mask from
them, at any scale the same shape. They follow from the runs alone: a corner is where one of two
neighbouring columns changes and the other does not, and corners on one line belong together in
pairs ("connect the dots": J. O'Rourke, Uniqueness of orthogonal connect-the-dots, 1988). Several
outlines become one over bridges, edges that are traversed in both directions: an even-odd rule as
pycocotools' does not see them, so holes and separate parts survive.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pycocotools.mask as mask_util

_LONGEST_GROUP = 8  # 40 bits: more than any image has pixels
_NUM_CANDIDATES = 256  # corners among which the end of a bridge is searched


def checked_rle(segmentation: dict[str, Any], height: int, width: int) -> dict[str, Any] | str:
    """The mask in compressed form, or the reason why it cannot be used.

    Returns:
        {'size': [height, width], 'counts': str}, or a text.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        return f"size is {size}, the image is {[height, width]} (height, width)"
    runs = _runs_of_list(counts) if isinstance(counts, list) else _runs_of_string(counts)
    if runs is None or (runs < 0).any():
        return "counts are not run lengths"
    covered = sum(runs.tolist())  # Python's integers: a sum of huge counts must not wrap around
    if covered != height * width:
        return f"counts cover {covered} pixels, the image has {height * width}"
    if isinstance(counts, list):
        counts = mask_util.frPyObjects({"size": size, "counts": counts}, height, width)["counts"]
    return as_text({"size": [height, width], "counts": counts})


def as_text(rle: dict[str, Any]) -> dict[str, Any]:
    """A compressed RLE as json can hold it: counts as a str."""
    counts = rle["counts"]
    text = counts.decode("ascii") if isinstance(counts, bytes) else counts
    return {"size": list(rle["size"]), "counts": text}


def rle_of_pixels(pixels: np.ndarray, height: int, width: int) -> dict[str, Any]:
    """The mask of some pixels, in time of their number.

    Args:
        pixels: (N,) integers, column * height + row of each pixel; may repeat.

    Returns:
        {'size': [height, width], 'counts': str}.
    """
    pixels = np.unique(pixels)
    first = pixels[
        np.diff(pixels, prepend=-2) != 1
    ]  # -2: no neighbour, whatever the first pixel is
    last = pixels[np.diff(pixels, append=-2) != 1] + 1
    edges = np.stack([first, last], axis=1).reshape(-1)
    runs = np.diff(np.r_[0, edges, height * width]).tolist()
    runs = runs if runs[-1] else runs[:-1]
    return as_text(mask_util.frPyObjects({"size": [height, width], "counts": runs}, height, width))


def runs_of(rle: dict[str, Any]) -> np.ndarray:
    """Run lengths of a checked mask, off first."""
    counts = rle["counts"]
    runs = _runs_of_list(counts) if isinstance(counts, list) else _runs_of_string(counts)
    assert runs is not None, rle
    return runs


def _runs_of_list(counts: list[Any]) -> np.ndarray | None:
    try:
        runs = np.array(counts)
    except ValueError:  # lists of different lengths inside
        return None
    return runs if runs.ndim == 1 and runs.dtype.kind in "iu" else None


def _runs_of_string(counts: Any) -> np.ndarray | None:
    """Run lengths of a compressed mask; None if the string is not one."""
    if isinstance(counts, str) and counts.isascii():
        counts = counts.encode()
    if not isinstance(counts, bytes) or not counts:
        return None
    groups = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(groups & 32 == 0)
    if groups.min() < 0 or groups.max() > 63 or not len(ends) or ends[-1] != len(groups) - 1:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    position = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)  # in its number
    if position.max() >= _LONGEST_GROUP:
        return None
    runs = np.add.reduceat((groups & 31) << (5 * position), starts)
    runs -= np.where(groups[ends] & 16, 1 << (5 * (position[ends] + 1)), 0)  # two's complement
    # The third count is absolute too, so differences add up from the second and the third on.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def polygons_of_rle(rle: dict[str, Any]) -> list[np.ndarray]:
    """Polygons, each (N, 2) x, y in pixels, whose union has the pixels of a mask.

    One for each part of the mask; a single one with bridges where there are holes.

    Args:
        rle: a checked mask, compressed or not.
    """
    loops = _loops(rle)
    if all(_is_solid(loop) for loop in loops):
        return loops
    return [bridged(loops)]


def _is_solid(loop: np.ndarray) -> bool:
    """Whether the loop goes around mask pixels, not around a hole: the mask is on its right."""
    x, y = loop.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(np.roll(x, -1), y)) > 0


def _loops(rle: dict[str, Any]) -> list[np.ndarray]:
    """Closed outlines, the mask on their right (y down): solid parts and holes."""
    x, y, starts = _corners(rle)
    along_row, along_column = _partners(y, x).tolist(), _partners(x, y).tolist()
    loops, seen = [], [False] * len(x)
    for first in np.flatnonzero(starts).tolist():
        path: list[int] = []
        here = first
        while not seen[here]:
            across = along_row[here]
            seen[here] = seen[across] = True
            path += [here, across]
            here = along_column[across]
        if not path:
            continue
        loops.append(np.stack([x[path], y[path]], axis=1).astype(np.float64))
    return loops


def _corners(rle: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y of every corner, twice where two touch, and whether an edge starts there.

    Edges along rows run to the right where the mask is below, to the left where it is above.
    """
    column, top, bottom = _segments(rle)
    x = np.concatenate([column, column, column + 1, column + 1])
    y = np.concatenate([top, bottom, top, bottom])
    is_top = np.concatenate([np.ones_like(top), np.zeros_like(top)] * 2).astype(bool)
    is_left_end = np.arange(len(x)) < 2 * len(column)
    order = np.lexsort((y, x))
    x, y, is_top, is_left_end = x[order], y[order], is_top[order], is_left_end[order]
    coincide = (np.diff(x) == 0) & (np.diff(y) == 0)
    straight = np.zeros(len(x) + 1, bool)  # whether the corner and the one before cancel out
    straight[1:-1] = coincide & (is_top[1:] == is_top[:-1])
    is_corner = ~(straight[:-1] | straight[1:])
    # On its way right an edge starts at its left end, on its way left at its right end.
    return x[is_corner], y[is_corner], (is_top == is_left_end)[is_corner]


def _segments(rle: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, first row and row after the last of each vertical run of mask pixels."""
    height, _ = rle["size"]
    ends = np.cumsum(runs_of(rle))
    start, stop = ends[0:-1:2], ends[1::2]
    start, stop = start[: len(stop)], stop[: len(start)]
    start, stop = start[stop > start], stop[stop > start]
    first, last = start // height, (stop - 1) // height  # a run may go on in the next columns
    count = last - first + 1
    run = np.repeat(np.arange(len(start)), count)
    column = np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count) + first[run]
    top = np.maximum(start[run] - column * height, 0)
    bottom = np.minimum(stop[run] - column * height, height)
    return column, top, bottom


def _partners(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Index of the corner at the other end of the edge, for edges on which `along` is constant."""
    order = np.lexsort((across, along))
    partner = np.empty_like(order)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return partner


def bridged(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """A single outline that runs along all of them, closed at each bridge.

    Bridges lead to the nearest of the corners a little further left, so that a mask of many
    thousand specks takes no longer than its number of corners asks for.

    Args:
        outlines: (N, 2) each, not empty.
    """
    loops = sorted((_from_the_left(loop) for loop in outlines), key=lambda loop: loop[0].tolist())
    points = np.concatenate(loops)
    ends = np.cumsum([len(loop) for loop in loops]).tolist()
    by_position = np.lexsort((points[:, 1], points[:, 0]))
    rank = np.empty_like(by_position)
    rank[by_position] = np.arange(len(points))
    # A linked list: the points to pass in no order, and which stop follows each.
    stops = list(range(len(points)))
    following = [*range(1, len(points)), 0]
    following[ends[0] - 1] = -1
    for first, end in pairwise(ends):
        # What lies further left belongs to outlines that are connected already.
        near = by_position[max(0, rank[first] - _NUM_CANDIDATES) : rank[first]]
        here = int(near[((points[near] - points[first]) ** 2).sum(axis=1).argmin()])
        following[end - 1] = len(stops)
        stops += [first, here]
        following += [len(stops) - 1, following[here]]
        following[here] = first
    path = [0]
    while following[path[-1]] >= 0:
        path.append(following[path[-1]])
    return points[[stops[stop] for stop in path]]


def _from_the_left(outline: np.ndarray) -> np.ndarray:
    """The outline from its leftmost corner on, the upper one of several."""
    return np.roll(outline, -int(np.lexsort((outline[:, 1], outline[:, 0]))[0]), axis=0)


def clip_polygon(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """The part of a polygon inside an image.

    After Sutherland and Hodgman, "Reentrant polygon clipping", 1974. Where a polygon that is not convex
    falls apart, its parts stay joined by lines along the border; they have no area, so the mask is
    right. Shapely, which Detectron2 takes for this, would be one more dependency.

    Args:
        points: (N, 2), x and y in pixels.

    Returns:
        (M, 2), M of 0 if nothing is inside; the input itself if nothing is outside.
    """
    for axis, limit in ((0, width), (1, height)):
        points = _clip_side(points, axis, 0.0, 1.0)
        points = _clip_side(points, axis, float(limit), -1.0)
    return points


def _clip_side(points: np.ndarray, axis: int, bound: float, sign: float) -> np.ndarray:
    """Keep what is above the bound (sign 1) or below it (sign -1)."""
    distance = (points[:, axis] - bound) * sign
    inside = distance >= 0
    if inside.all():
        return points
    if not inside.any():
        return points[:0]
    crosses = inside != np.roll(inside, -1)
    # Counted from the end that is inside, so that an edge gone along there and back, as the bridge
    # to a hole is, is cut at the very same point both times.
    other, other_distance = np.roll(points, -1, axis=0), np.roll(distance, -1)
    start = np.where(inside[:, None], points, other)
    end = np.where(inside[:, None], other, points)
    near = np.where(inside, distance, other_distance)
    far = np.where(inside, other_distance, distance)
    share = near / np.where(crosses, near - far, 1.0)
    cuts = start + share[:, None] * (end - start)
    cuts[:, axis] = bound
    both = np.stack([points, cuts], axis=1).reshape(-1, 2)
    return both[np.stack([inside, crosses], axis=1).reshape(-1)]
