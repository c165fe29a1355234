"""The curves as one picture: a panel an axis, all as multiples of the first point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from .axes import Axis, Point
from .fit import fit

_COLUMNS = 4
_TIME, _MEMORY, _LINEAR = "#0b62a4", "#c8571b", "#9a9a9a"


def draw(curves: Mapping[Axis, Sequence[Point]], path: Path) -> None:
    """Write a PNG."""
    rows = -(-len(curves) // _COLUMNS)
    figure, places = plt.subplots(
        rows, _COLUMNS, figsize=(3.6 * _COLUMNS, 3.3 * rows), squeeze=False, layout="constrained"
    )
    flat = list(places.flat)
    for place, (axis, points) in zip(flat, curves.items(), strict=False):
        _panel(place, axis, points)
    for place in flat[len(curves) :]:
        place.axis("off")
    figure.suptitle(
        "Cost as the work grows, as multiples of the leftmost point (both scales logarithmic)"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(place: Axes, axis: Axis, points: Sequence[Point]) -> None:
    values = [point.value for point in points]
    linear = [value / values[0] for value in values]
    place.plot(values, linear, ":", color=_LINEAR, label="linear")
    for name, color, costs in (
        ("time", _TIME, [point.seconds for point in points]),
        ("peak memory", _MEMORY, [point.mib for point in points]),
    ):
        growth = fit(values, costs)
        label = f"{name}, last slope {growth.last:.2f}"
        place.plot(values, [cost / costs[0] for cost in costs], "o-", color=color, label=label)
    place.set_xscale("log")
    place.set_yscale("log")
    # the measured values alone: matplotlib's own labels of short scales overlap
    place.set_xticks(values, [_short(value) for value in values])
    place.minorticks_off()
    place.set_title(axis.work, fontsize=10)
    place.set_xlabel(axis.unit, fontsize=9)
    place.tick_params(labelsize=8)
    place.grid(alpha=0.25)
    place.legend(fontsize=8, loc="upper left", frameon=False)


def _short(value: int) -> str:
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return str(value)
