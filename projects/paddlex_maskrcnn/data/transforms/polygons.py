"""Polygons cut at the border of an image.

Source: Sutherland and Hodgman, "Reentrant polygon clipping", 1974. Where a polygon that is not
convex falls apart, its parts stay joined by lines along the border; they have no area, so the mask
is right. Shapely, which Detectron2 takes for this, would be one more dependency.
"""

import numpy as np


def clip_polygon(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """The part of a polygon inside an image.

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
