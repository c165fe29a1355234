"""The numbers of an evaluation as text for logs, and as plain data for files."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .average_precision import AveragePrecision

_LONGEST_NAME = 24


def summary(bbox: AveragePrecision, segm: AveragePrecision) -> str:
    """All classes together, percent: AP, sizes and AR; precision, recall and F1 as class means."""
    heads = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR", "P", "R", "F1")
    lines = [f"{'':6}" + "".join(f"{head:>8}" for head in heads)]
    for name, one in (("bbox", bbox), ("segm", segm)):
        at_best = [one.mean_of_best(which) for which in ("precision", "recall", "f1")]
        numbers = [one.ap, one.ap50, one.ap75, *one.by_area.values(), one.recall, *at_best]
        lines.append(f"{name:6}" + "".join(_percent(number) for number in numbers))
    return "\n".join(lines)


def by_class(found: AveragePrecision) -> str:
    """One line a class, percent; `score` is the threshold at which P, R and F1 are."""
    width = min(_LONGEST_NAME, max((len(name) for name in found.by_class), default=0))
    heads = ("objects", "AP", "AP50", "AP75", "AR", "P", "R", "F1", "score")
    lines = [f"{'':{width}}" + "".join(f"{head:>8}" for head in heads)]
    for row in class_rows(found):
        name = row["name"] if len(row["name"]) <= width else row["name"][: width - 1] + "…"
        numbers = (row[key] for key in ("ap", "ap50", "ap75", "ar", "precision", "recall", "f1"))
        score = "-" if math.isnan(row["threshold"]) else f"{row['threshold']:.3f}"
        text = f"{name:{width}}{row['objects']:8d}"
        lines.append(text + "".join(_percent(number) for number in numbers) + f"{score:>8}")
    return "\n".join(lines)


def class_rows(found: AveragePrecision) -> list[dict[str, Any]]:
    """A dict a class: name, objects, ap, ap50, ap75, ar, precision, recall, f1, threshold."""
    return [
        {
            "name": name,
            "objects": point.num_objects,
            "ap": found.by_class[name],
            "ap50": found.ap50_by_class[name],
            "ap75": found.ap75_by_class[name],
            "ar": found.recall_by_class[name],
            "precision": point.precision,
            "recall": point.recall,
            "f1": point.f1,
            "threshold": point.threshold,
        }
        for name, point in found.best.items()
    ]


def without_nan(value: Any) -> Any:
    """JSON has no NaN: null says the same; arrays become lists."""
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _percent(number: float) -> str:
    return f"{'-':>8}" if math.isnan(number) else f"{100 * number:8.2f}"
