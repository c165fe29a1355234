"""Run-length masks to polygons that have exactly their pixels, and several outlines as one.

The outlines run along the edges of pixels, so that pycocotools draws the same mask from them, at
any scale the same shape. They are found from the runs alone: a corner is where one of two
neighbouring columns changes and the other does not, and corners on one line belong together in
pairs ("connect the dots": J. O'Rourke, Uniqueness of orthogonal connect-the-dots, 1988).

Several outlines become one over bridges, edges that are gone along there and back: an even-odd rule
as pycocotools' does not see them, so holes and separate parts are kept.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .rle import runs_of


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

    Args:
        outlines: (N, 2) each, not empty.
    """
    whole, rest = outlines[0], list(outlines[1:])
    while rest:
        nearest = [_nearest(whole, one) for one in rest]
        k = min(range(len(rest)), key=lambda one: nearest[one][0])
        _, here, there = nearest[k]
        loop = np.roll(rest.pop(k), -there, axis=0)
        whole = np.concatenate([whole[: here + 1], loop, loop[:1], whole[here:]])
    return whole


def _nearest(a: np.ndarray, b: np.ndarray) -> tuple[float, int, int]:
    """Squared distance of the closest corners, and which they are."""
    distance = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    here, there = np.unravel_index(int(distance.argmin()), distance.shape)
    return float(distance[here, there]), int(here), int(there)


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
