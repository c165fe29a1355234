"""Charts of a training, and SVG that can stand beside others."""

import re

from paddlex_maskrcnn.report.html.charts import Series, line_chart, training_charts


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
