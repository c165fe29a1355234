"""Charts of the pages: bars as high as their shares, curves of a training, SVG for one page."""

import re

import numpy as np
import pytest

from paddlex_maskrcnn.report.html.charts import Series, histogram_chart, line_chart, training_charts

EDGES = np.arange(5.0)
SHARES = {"train": np.array([0.25, 0.5, 0.0, 0.25]), "eval": np.array([0.0, 0.2, 0.8, 0.0])}


def bars(svg, color):
    """Left, right and height of the filled rectangles of a colour."""
    outlines = re.findall(rf'<path d="([^"]+)"[^>]*style="fill: var\({color}\)[^"]*"', svg)
    corners = [np.array(re.findall(r"[\d.]+", one), float).reshape(-1, 2) for one in outlines]
    return [(*c[:, 0].min(keepdims=True), c[:, 0].max(), np.ptp(c[:, 1])) for c in corners]


def test_bars_are_as_high_as_their_share():
    chart = histogram_chart("h", "title", EDGES, SHARES, x_label="unit")
    assert chart.legend == [("var(--s1)", "train"), ("var(--s2)", "eval")]
    heights = {
        name: np.array([height for *_, height in bars(chart.svg, color)])
        for name, color in (("train", "--s1"), ("eval", "--s2"))
    }
    whole = heights["eval"].max() / 0.8
    for name, shares in SHARES.items():
        np.testing.assert_allclose(heights[name] / whole, shares, atol=1e-4)


@pytest.mark.parametrize("is_log", [False, True])
def test_bars_of_two_parts_share_the_width_between_edges(is_log):
    edges = np.exp(EDGES) if is_log else EDGES
    chart = histogram_chart("h", "title", edges, SHARES, x_label="unit", is_log=is_log)
    train, evaluation = bars(chart.svg, "--s1"), bars(chart.svg, "--s2")
    widths = [right - left for left, right, _ in train + evaluation]
    np.testing.assert_allclose(widths, widths[0], rtol=1e-3)
    for (_, right, _), (left, _, _) in zip(train, evaluation, strict=True):
        assert 0 < left - right < 0.1 * widths[0]


def test_marks_have_labels_where_there_is_room():
    marks = [(1.0, "first"), (1.01, "too near"), (3.0, "second"), (9.0, "outside")]
    chart = histogram_chart("h", "t", EDGES, SHARES, x_label="unit", marks=marks)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", chart.svg)
    assert {"first", "second"} <= set(texts)
    assert not {"too near", "outside"} & set(texts)
    assert chart.svg.count("stroke-dasharray") == 3


@pytest.mark.parametrize(("low", "high"), [(3, 4), (8, 12), (2, 900), (0.01, 5e5)])
def test_log_axes_have_a_few_round_ticks(low, high):
    edges = np.geomspace(low, high, 5)
    chart = histogram_chart("h", "t", edges, {"a": np.full(4, 0.25)}, x_label="unit", is_log=True)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", chart.svg)
    ticks = [float(text) for text in texts if re.fullmatch(r"[\d.e+-]+", text)]
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)


def test_training_charts(metrics_rows):
    losses, scores, rates = training_charts(metrics_rows)
    assert [label for _, label in losses.legend] == ["loss", "loss_cls", "held-out loss"]
    assert [label for _, label in scores.legend] == ["mask AP", "box AP"]
    assert scores.note == "Highest mask AP: 0.350"
    assert rates.title == "Learning rate"
    assert training_charts([]) == []


def test_charts_of_other_names_have_other_ids():
    lines = [Series("a", [1, 2], [1, 2], points=True)]
    one, other = (line_chart(name, "t", lines, x_label="x").svg for name in ("one", "other"))
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert line_chart("one", "t", lines, x_label="x").svg == one, "the same every time"
