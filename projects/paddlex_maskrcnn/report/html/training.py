"""Curves of a training from the rows of metrics.jsonl."""

from __future__ import annotations

from typing import Any

from ..run_files import RunFiles
from .charts import Chart, Series, line_chart

_PARTS = ("loss_cls", "loss_bbox", "loss_mask", "loss_rpn_cls", "loss_rpn_bbox")
_SCORES = {
    "segm_mmap": "mask AP",
    "segm_map": "mask AP50",
    "bbox_mmap": "box AP",
    "bbox_map": "box AP50",
    "segm_ap50": "mask AP50",
    "bbox_ap50": "box AP50",
}


def training_charts(run: RunFiles) -> list[Chart]:
    """Losses, average precision and learning rate, of what was written."""
    train, evaluations = run.rows_of("train"), run.rows_of("eval")
    charts = []
    if train:
        charts.append(_losses(train, evaluations))
    if evaluations:
        charts.append(_scores(evaluations))
    if any("lr" in row for row in train):
        rates = [Series("learning rate", *_column(train, "lr"))]
        charts.append(line_chart("lr", "Learning rate", rates, x_label="step"))
    return charts


def _losses(train: list[dict[str, Any]], evaluations: list[dict[str, Any]]) -> Chart:
    lines = [Series("loss", *_column(train, "loss"), strong=True)]
    parts = [name for name in _PARTS if any(name in row for row in train)]
    lines += [Series(name, *_column(train, name), color=k) for k, name in enumerate(parts, 1)]
    if any("val_loss" in row for row in evaluations):
        held_out = _column(evaluations, "val_loss")
        lines.append(Series("held-out loss", *held_out, color=6, strong=True, points=True))
    return line_chart("loss", "Losses", lines, x_label="step")


def _scores(evaluations: list[dict[str, Any]]) -> Chart:
    lines: list[Series] = []
    named: set[str] = set()
    for name, label in _SCORES.items():
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
