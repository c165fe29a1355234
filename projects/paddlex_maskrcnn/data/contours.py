"""Run-length masks to polygons that have exactly their pixels, and several outlines as one.

The outlines run along the edges of pixels, so that pycocotools draws the same mask from them, at
any scale the same shape. They are found from the runs alone: a corner is where one of two
neighbouring columns changes and the other does not, and corners on one line belong together in
pairs ("connect the dots": J. O'Rourke, Uniqueness of orthogonal connect-the-dots, 1988).

Several outlines become one over bridges, edges that are gone along there and back: an even-odd rule
as pycocotools' does not see them, so holes and separate parts are kept.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .masks import runs_of

_SEARCHED = 256  # corners among which the end of a bridge is looked for


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


def bridged(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """One outline that runs along all of them, closed at each bridge.

    Bridges lead to the nearest of the corners a little further left, so that a mask of many
    thousand specks takes no longer than its number of corners asks for.

    Args:
        outlines: (N, 2) each, not empty.
    """
    loops = sorted((_from_the_left(one) for one in outlines), key=lambda one: one[0].tolist())
    points = np.concatenate(loops)
    ends = np.cumsum([len(one) for one in loops]).tolist()
    by_place = np.lexsort((points[:, 1], points[:, 0]))
    rank = np.empty_like(by_place)
    rank[by_place] = np.arange(len(points))
    stops = list(range(len(points)))  # what the way runs along, in no order,
    following = [*range(1, len(points)), 0]  # and where each stop leads to
    following[ends[0] - 1] = -1
    for first, end in pairwise(ends):
        # What lies further left belongs to outlines that are connected already.
        near = by_place[max(0, rank[first] - _SEARCHED) : rank[first]]
        here = int(near[((points[near] - points[first]) ** 2).sum(axis=1).argmin()])
        following[end - 1] = len(stops)
        stops += [first, here]
        following += [len(stops) - 1, following[here]]
        following[here] = first
    way = [0]
    while following[way[-1]] >= 0:
        way.append(following[way[-1]])
    return points[[stops[one] for one in way]]


def _from_the_left(outline: np.ndarray) -> np.ndarray:
    """The outline from its leftmost corner on, the upper one of several."""
    return np.roll(outline, -int(np.lexsort((outline[:, 1], outline[:, 0]))[0]), axis=0)


def _is_solid(loop: np.ndarray) -> bool:
    """Whether the loop is gone along with the mask on its right hand."""
    x, y = loop.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(np.roll(x, -1), y)) > 0


def _loops(rle: dict[str, Any]) -> list[np.ndarray]:
    """Closed outlines, the mask on their right hand (y down): solid parts and holes."""
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

    Edges along rows are gone to the right where the mask is below, to the left where it is above.
    """
    column, top, bottom = _segments(rle)
    x = np.concatenate([column, column, column + 1, column + 1])
    y = np.concatenate([top, bottom, top, bottom])
    is_top = np.concatenate([np.ones_like(top), np.zeros_like(top)] * 2).astype(bool)
    is_left_end = np.arange(len(x)) < 2 * len(column)
    order = np.lexsort((y, x))
    x, y, is_top, is_left_end = x[order], y[order], is_top[order], is_left_end[order]
    same_place = (np.diff(x) == 0) & (np.diff(y) == 0)
    straight = np.zeros(len(x) + 1, bool)  # whether the corner and the one before cancel out
    straight[1:-1] = same_place & (is_top[1:] == is_top[:-1])
    kept = ~(straight[:-1] | straight[1:])
    # On its way right an edge starts at its left end, on its way left at its right end.
    return x[kept], y[kept], (is_top == is_left_end)[kept]


def _segments(rle: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, first row and row after the last of each vertical run of mask pixels."""
    height, _ = rle["size"]
    ends = np.cumsum(runs_of(rle))
    start, stop = ends[0:-1:2], ends[1::2]
    start, stop = start[: len(stop)], stop[: len(start)]
    start, stop = start[stop > start], stop[stop > start]
    first, last = start // height, (stop - 1) // height
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
