"""Histograms as inline SVG that follow the page's colours."""

from html import escape

import numpy as np

from ...data.check.statistics import Histogram

_WIDTH, _HEIGHT = 400, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 36, 16, 20, 34
_TICKS = 6
_NICE = (1, 2, 5)
_LEAST_GAP = 22  # pixels between the names of marks


def histogram(found: Histogram) -> str:
    """One chart: the parts' bars side by side, marks as dashed lines."""
    highest = max((float(shares.max(initial=0)) for shares in found.parts.values()), default=0)
    highest = highest or 1.0
    pieces = [*_grid(highest), *_bars(found, highest), *_ticks(found), *_marks(found)]
    label = escape(f"{found.title}, {found.unit}")
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    pieces.append(f'<text x="{middle}" y="{_HEIGHT - 4}" class="unit">{escape(found.unit)}</text>')
    body = "".join(pieces)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{body}</svg>'


def _x(found: Histogram, value: float | np.ndarray) -> np.ndarray:
    edges = np.log(found.edges) if found.is_log else found.edges
    values = np.log(value) if found.is_log else np.asarray(value)
    share = (values - edges[0]) / (edges[-1] - edges[0])
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _grid(highest: float) -> list[str]:
    pieces = []
    for part in (0.0, 0.5, 1.0):
        y = _y(part)
        pieces.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" class="rule"/>')
        name = f"{part * highest:.0%}"
        pieces.append(f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" class="left">{name}</text>')
    return pieces


def _bars(found: Histogram, highest: float) -> list[str]:
    x, pieces = _x(found, found.edges), []
    for k, shares in enumerate(found.parts.values()):
        for bar, share in enumerate(shares.tolist()):
            if share:
                wide = (x[bar + 1] - x[bar]) / len(found.parts)
                left, top = x[bar] + k * wide, _y(share / highest)
                pieces.append(
                    f'<rect class="part{k}" x="{left + 0.5:.1f}" y="{top:.1f}" '
                    f'width="{max(wide - 1, 0.5):.1f}" height="{_y(0) - top:.1f}"/>'
                )
    return pieces


def _ticks(found: Histogram) -> list[str]:
    pieces = []
    for value in _nice_values(found):
        x = float(_x(found, value))
        pieces.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 14}" class="tick">{value:g}</text>'
        )
    return pieces


def _nice_values(found: Histogram) -> list[float]:
    low, high = float(found.edges[0]), float(found.edges[-1])
    if not found.is_log:
        step = 10.0 ** np.floor(np.log10(max(high - low, 1) / _TICKS))
        step *= next((k for k in (1, 2, 5, 10) if (high - low) / (k * step) <= _TICKS), 10)
        return np.arange(0, high + step / 2, max(step, 1)).tolist()
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [k * 10.0**power for power in powers for k in _NICE]
    inside = [value for value in values if low <= value <= high]
    if len(inside) >= 2:
        return inside[:: -(-len(inside) // (_TICKS + 2))]
    return [float(f"{value:.3g}") for value in np.geomspace(low, high, 4)]


def _marks(found: Histogram) -> list[str]:
    pieces, last = [], -np.inf
    for value, name in found.marks:
        if found.edges[0] <= value <= found.edges[-1]:
            x = float(_x(found, value))
            pieces.append(f'<path d="M{x:.1f} {_TOP}V{_y(0):.1f}" class="mark"/>')
            if x - last >= _LEAST_GAP:
                text = f'<text x="{x:.1f}" y="{_TOP - 6}" class="tick">{escape(name)}</text>'
                pieces.append(text)
                last = x
    return pieces
