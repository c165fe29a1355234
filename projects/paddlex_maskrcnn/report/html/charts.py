"""Charts as SVG inside a page: drawn by matplotlib in colours that the page's style sheet decides.

The figures use marker colours, which become CSS variables in the text; so a chart follows the page
from light to dark, and its texts have the page's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

_INK, _MUTED, _RULE = "#010101", "#010102", "#010103"
_NUM_SERIES = 8
_SERIES = tuple(f"#0102{i:02x}" for i in range(1, _NUM_SERIES + 1))
_VARIABLES = {_INK: "var(--ink)", _MUTED: "var(--muted)", _RULE: "var(--rule)"} | {
    color: f"var(--s{i})" for i, color in enumerate(_SERIES, 1)
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "grid.color": _RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}
# what would leak into the page or stand in it twice, and sizes that CSS decides
_NOT_FOR_A_PAGE = (
    re.compile(r"<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL),
    re.compile(r' id="[\w.]+_\d+"'),
    re.compile(r"font-family: [^;]*; "),
    re.compile(r' (width|height)="[\d.]+pt"'),
    re.compile(r' xmlns(:xlink)?="[^"]*"'),  # HTML knows SVG without its addresses
)
_MOST_TICKS = 8
_LEAST_GAP = 0.07  # between labels of marks, of the width of the axes
# of metrics.jsonl
_LOSSES = ("loss_cls", "loss_bbox", "loss_mask", "loss_rpn_cls", "loss_rpn_bbox")
_AP_LABELS = {
    "segm_mmap": "mask AP",
    "segm_map": "mask AP50",
    "bbox_mmap": "box AP",
    "bbox_map": "box AP50",
    "segm_ap50": "mask AP50",
    "bbox_ap50": "box AP50",
}
_SIZE = (4.2, 2.7)  # inches: 302 points wide, so that texts are as large as the page's on a phone


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        label: for the legend.
        x, y: (N,) numbers; NaN leaves a gap.
        color: index into the page's palette; entries beyond its end repeat it, thinner.
        strong: drawn thicker.
        points: a marker at each point.
    """

    label: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    color: int = 0
    strong: bool = False
    points: bool = False


@dataclass(frozen=True)
class Chart:
    """What the page shows of a figure.

    Attributes:
        title: over it.
        svg: the drawing.
        legend: (CSS colour, label) of each line.
        note: a sentence under it.
    """

    title: str
    svg: Markup
    legend: list[tuple[str, str]]
    note: str = ""


def line_chart(
    name: str,
    title: str,
    lines: Sequence[Series],
    *,
    x_label: str,
    y_label: str = "",
    y_limits: tuple[float, float | None] = (0, None),
    note: str = "",
    whole_x: bool = False,
) -> Chart:
    """Lines over a common axis.

    Args:
        name: unique on the page, for the SVG's ids.
        whole_x: only whole numbers on the axis.
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _axes(x_label, y_label)
        for line in lines:
            repeated = line.color >= _NUM_SERIES
            axes.plot(
                line.x, line.y, color=_SERIES[line.color % _NUM_SERIES],
                lw=2.4 if line.strong else 0.8 if repeated else 1.4,
                marker="o" if line.points or len(line.x) == 1 else None, ms=3.5,
            )  # fmt: skip
        axes.set_ylim(bottom=y_limits[0], top=y_limits[1])
        axes.margins(x=0.02)
        if whole_x:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        drawing = _as_svg(figure, name, title)
    legend = [(f"var(--s{line.color % _NUM_SERIES + 1})", line.label) for line in lines]
    return Chart(title, drawing, legend, note)


def reliability_chart(
    name: str, title: str, edges: np.ndarray, accuracy: np.ndarray, note: str
) -> Chart:
    """Share of right detections over their score, and the line where both are equal."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _axes("score", "share that is right")
        middle, width = (edges[:-1] + edges[1:]) / 2, np.diff(edges) * 0.86
        axes.bar(middle, np.nan_to_num(accuracy), width, color=_SERIES[0])
        axes.plot([0, 1], [0, 1], color=_MUTED, lw=1.2, ls=(0, (4, 3)))
        axes.set(xlim=(0, 1), ylim=(0, 1))
        drawing = _as_svg(figure, name, title)
    legend = [("var(--s1)", "detections of this score"), ("var(--muted)", "scores that are exact")]
    return Chart(title, drawing, legend, note)


def histogram_chart(
    name: str,
    title: str,
    edges: np.ndarray,
    shares: Mapping[str, np.ndarray],
    *,
    x_label: str,
    is_log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> Chart:
    """Bars of each distribution side by side.

    Args:
        name: unique on the page, for the SVG's ids.
        edges: (B + 1,) bounds of the bars.
        shares: label -> (B,) heights of its bars, fractions.
        is_log: whether the edges grow by a factor.
        marks: (value, label) of dashed lines.
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _axes(x_label, "")
        # bars are drawn over the position of their edges, so that they are as wide on a log axis
        position = np.log(edges) if is_log else edges
        wide = np.diff(position) / len(shares)
        for k, values in enumerate(shares.values()):
            left = position[:-1] + (k + 0.04) * wide
            axes.bar(left, values, wide * 0.92, align="edge", color=_SERIES[k % _NUM_SERIES])
        axes.set_xlim(position[0], position[-1])
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        if is_log:
            ticks = _log_ticks(edges[0], edges[-1])
            axes.xaxis.set_major_locator(FixedLocator(np.log(ticks).tolist()))
            axes.set_xticklabels([f"{tick:g}" for tick in ticks])
        else:
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _draw_marks(axes, [(np.log(v) if is_log else v, label) for v, label in marks])
        drawing = _as_svg(figure, name, title)
    legend = [(f"var(--s{k % _NUM_SERIES + 1})", label) for k, label in enumerate(shares)]
    return Chart(title, drawing, legend)


def _log_ticks(low: float, high: float) -> list[float]:
    """Round values between two bounds, few enough for their texts."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [k * 10.0**power for power in powers for k in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    if len(ticks) < 2:  # a narrow range
        ticks = [
            float(tick) for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high
        ]
    return ticks[:: -(-len(ticks) // _MOST_TICKS)]


def _draw_marks(axes: Any, marks: Sequence[tuple[float, str]]) -> None:
    """Dashed lines, with their labels over the axes where there is room."""
    low, high = axes.get_xlim()
    last = -np.inf
    for position, label in marks:
        if low <= position <= high:
            axes.axvline(position, color=_MUTED, lw=0.9, ls=(0, (3, 3)))
            share = (position - low) / (high - low)
            if share - last >= _LEAST_GAP:
                axes.text(
                    share, 1.01, label, transform=axes.transAxes, ha="center", va="bottom",
                    color=_MUTED,
                )  # fmt: skip
                last = share


def training_charts(rows: Sequence[dict[str, Any]]) -> list[Chart]:
    """Losses, average precision and learning rate of a run, of what was written.

    Args:
        rows: of metrics.jsonl: `kind` train (losses, lr) or eval.
    """
    train, evaluations = (
        [row for row in rows if row.get("kind") == kind] for kind in ("train", "eval")
    )
    charts = []
    if train:
        charts.append(_losses(train, evaluations))
    if evaluations:
        charts.append(_average_precisions(evaluations))
    if any("lr" in row for row in train):
        rates = [Series("learning rate", *_column(train, "lr"))]
        charts.append(line_chart("lr", "Learning rate", rates, x_label="step"))
    return charts


def _losses(train: list[dict[str, Any]], evaluations: list[dict[str, Any]]) -> Chart:
    lines = [Series("loss", *_column(train, "loss"), strong=True)]
    parts = [name for name in _LOSSES if any(name in row for row in train)]
    lines += [Series(name, *_column(train, name), color=k) for k, name in enumerate(parts, 1)]
    if any("val_loss" in row for row in evaluations):
        held_out = _column(evaluations, "val_loss")
        lines.append(Series("held-out loss", *held_out, color=6, strong=True, points=True))
    return line_chart("loss", "Losses", lines, x_label="step")


def _average_precisions(evaluations: list[dict[str, Any]]) -> Chart:
    lines: list[Series] = []
    named: set[str] = set()
    for name, label in _AP_LABELS.items():
        if label in named or not any(name in row for row in evaluations):
            continue
        named.add(label)
        column = _column(evaluations, name, over="epoch")
        lines.append(Series(label, *column, color=len(lines), strong=not lines, points=True))
    best = max(lines[0].y, default=float("nan")) if lines else float("nan")
    note = f"Highest {lines[0].label}: {best:.3f}" if lines and best == best else ""
    return line_chart(
        "ap", "Average precision on held-out data", lines, x_label="epoch", note=note, whole_x=True
    )


def _column(
    rows: list[dict[str, Any]], name: str, over: str = "step"
) -> tuple[list[float], list[float]]:
    """Steps (or epochs) and values of the rows that have the value; null was NaN."""
    pairs = [(row[over], row[name]) for row in rows if row.get(name) is not None]
    return [float(x) for x, _ in pairs], [float(y) for _, y in pairs]


def _axes(x_label: str, y_label: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(axis="y", lw=0.6)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def _as_svg(figure: Figure, name: str, title: str) -> Markup:
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):  # ids that no other chart of the page has
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for pattern in _NOT_FOR_A_PAGE:
        text = pattern.sub("", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    label = Markup.escape(title)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
