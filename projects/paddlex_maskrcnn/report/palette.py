"""Colours of classes: always the same for the same class, and far apart for neighbours."""

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np

_GOLDEN = 0.618033988749895  # steps of this size spread hues evenly for any number of classes


def class_color(index: int) -> tuple[int, int, int]:
    """BGR colour of the class with this index, 0 to 255."""
    saturation, value = ((0.85, 1.0), (0.6, 1.0), (0.9, 0.75))[index // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb((0.58 + index * _GOLDEN) % 1, saturation, value)
    return round(255 * blue), round(255 * green), round(255 * red)


def given_colors(color: Any, result: Sequence[dict[str, Any]]) -> np.ndarray:
    """The user's colours as an array, after checking that they suffice for the result.

    Raises:
        ValueError: if the shape is not (number of classes, 3), values are not from 0 to 255, or a
            class in the result has no row.
    """
    try:
        colors = np.asarray(color, dtype=float)
    except (TypeError, ValueError):
        colors = np.empty(0)
    needed = max((one["category_id"] for one in result), default=0)
    is_table = colors.ndim == 2 and colors.shape[1] == 3 and len(colors) >= needed
    if not is_table or colors.min(initial=0) < 0 or colors.max(initial=0) > 255:
        raise ValueError(
            f"color must be a table of BGR values from 0 to 255 with one row for each class "
            f"(at least {needed} rows for this result), got shape {np.shape(colors)}"
        )
    return colors


def row_color(colors: np.ndarray, row: int) -> tuple[int, int, int]:
    """One row of the user's colours, as OpenCV takes it."""
    blue, green, red = (int(value) for value in colors[row])
    return blue, green, red
