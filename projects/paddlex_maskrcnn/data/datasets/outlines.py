"""Outlines of the shapes that labelling tools draw, as polygons in pixels.

A polygon is a flat list x1, y1, x2, y2, ... as COCO has it. Angles are degrees, clockwise as one sees them
(y points down).
"""

from __future__ import annotations

import math

import numpy as np

_SAGITTA = 0.1  # pixels that a polygon's side may lie inside the curve
_POINTS = (16, 720)  # fewest and most of a curve


def rectangle(left: float, top: float, right: float, bottom: float) -> list[float]:
    """The corners of a box, clockwise."""
    return [left, top, right, top, right, bottom, left, bottom]


def turned(polygon: list[float], x: float, y: float, degrees: float) -> list[float]:
    """A polygon turned around the point (x, y)."""
    if not degrees:
        return polygon
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    points = np.reshape(polygon, (-1, 2)) - (x, y)
    return (points @ [[cos, sin], [-sin, cos]] + (x, y)).reshape(-1).tolist()


def ellipse(
    x: float, y: float, across: float, down: float, degrees: float = 0
) -> list[float] | None:
    """The ellipse with this centre and these two radii; None where they are not finite."""
    largest = max(abs(across), abs(down))
    if not math.isfinite(largest):
        return None
    sides = math.pi / math.acos(1 - min(_SAGITTA / largest, 1.0)) if largest else 0
    fewest, most = _POINTS
    angle = 2 * np.pi * np.arange(count := min(max(math.ceil(sides), fewest), most)) / count
    outline = np.stack([x + across * np.cos(angle), y + down * np.sin(angle)], axis=1)
    return turned(outline.reshape(-1).tolist(), x, y, degrees)
