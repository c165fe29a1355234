"""The page itself: everything an analysis found, in one HTML file that needs nothing else.

No script, no font, no picture from elsewhere, so that it can be mailed or kept with the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from ...metrics.analysis import Analysis
from ...metrics.average_precision import SIZES, class_rows
from ...metrics.errors import BACKGROUND, KINDS_OF_ERROR, MEANING
from ...metrics.matching import RECALLS
from ...metrics.scores import f1_score, last_of_each_score
from ..comparisons import WorstImage
from .charts import Chart, Series, line_chart, reliability_chart
from .templates import render_template

_MOST_CURVES = 8  # classes with a precision-recall line of their own
_MOST_MISTAKES = 20  # pairs
_FEW_CLASSES = 20  # up to here the table also has those without objects
_MOST_POINTS = 200  # of a line
_LARGEST_MATRIX = 60  # classes
_ADVICE = {
    "Cls": "look at the pairs in the confusion matrix, and at their annotations",
    "Loc": "more steps at a low learning rate, larger images, or anchors that fit the objects better",
    "Both": "usually falls together with Cls and Loc",
    "Dupe": "lower nms_threshold",
    "Bkg": "add images without objects, or look for objects that nobody annotated",
    "Miss": "lower score_threshold, larger images, or more examples of what is missed",
}
_WORTH_TELLING = 0.005  # gain in AP
_FAR_OFF = 0.1  # calibration


@dataclass(frozen=True)
class Page:
    """What stands on it.

    Attributes:
        title: the run's name.
        facts: (what, value) pairs under the title.
        analyses: `segm`, then `bbox`, of what there is; the first one is shown in full.
        training: charts.
        worst: pictures.
        note: why an average precision is zero or undefined.
        config: text of the run's configuration.
        made: when.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    analyses: Sequence[Analysis]
    training: Sequence[Chart] = ()
    worst: Sequence[WorstImage] = ()
    note: str = ""
    config: str = ""
    made: datetime = field(default_factory=datetime.now)


def render(page: Page) -> str:
    """The HTML text."""
    main = page.analyses[0]
    return render_template(
        "page.html.j2",
        filters={"fraction": fraction, "number": _number, "kind": _kind},
        page=page,
        main=main,
        sizes=SIZES,
        findings=findings(main),
        tiles=_tiles(page.analyses),
        classes=_classes(main),
        confusion=_confusion(main),
        errors=_errors(page.analyses),
        charts=[_curves(main), _over_scores(main), _calibration(main)],
    )


def fraction(value: float | None) -> str:
    """A fraction as the log shows it; a dash for what is not defined."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _kind(kind: str) -> str:
    return {"segm": "masks", "bbox": "boxes"}[kind]


def _classes(analysis: Analysis) -> list[dict[str, Any]]:
    """Weakest first; of many classes only those with objects."""
    rows = class_rows(analysis.average_precision)
    if len(rows) > _FEW_CLASSES:
        rows = [row for row in rows if row["objects"]]
    return sorted(rows, key=lambda row: (math.isnan(row["ap"]), row["ap"]))


def _tiles(analyses: Sequence[Analysis]) -> list[tuple[str, str, str]]:
    """(what, value, explanation) of the numbers to look at first."""
    tiles = []
    for analysis in analyses:
        name = {"segm": "mask", "bbox": "box"}[analysis.kind]
        numbers = analysis.average_precision
        tiles.append((f"{name} AP", fraction(numbers.ap), "mean over IoU 0.5 to 0.95"))
        tiles.append((f"{name} AP50", fraction(numbers.ap50), "at IoU 0.5"))
    main = analyses[0].point
    if main.num_objects:
        right = not math.isnan(main.threshold)
        at = (
            f"at score {main.threshold:.2f}, where F1 is best"
            if right
            else "nothing found is right"
        )
        values = (("precision", main.precision), ("recall", main.recall), ("F1", main.f1))
        tiles += [(name, fraction(value), at) for name, value in values]
    return tiles


def _confusion(analysis: Analysis) -> dict[str, Any]:
    """The matrix as cells (count, share of its row, whether right), unless it is too large to read."""
    confusion = analysis.confusion
    names, worst = confusion.names, confusion.worst(_MOST_MISTAKES)
    if len(names) - 1 > _LARGEST_MATRIX:
        return {"names": names, "rows": [], "worst": worst}
    share = confusion.matrix / np.maximum(confusion.matrix.sum(axis=1, keepdims=True), 1)
    last = len(names) - 1
    rows = [
        [
            (int(count), float(share[i, j]), i == j, i == j == last)
            for j, count in enumerate(line.tolist())
        ]
        for i, line in enumerate(confusion.matrix)
    ]
    return {"names": names, "rows": rows, "worst": worst}


def _errors(analyses: Sequence[Analysis]) -> list[dict[str, Any]]:
    """One row a kind of error, with the gain and count of each analysis, and the longest bar."""
    longest = max(max(analysis.errors.gains.values()) for analysis in analyses) or 1.0
    return [
        {
            "name": kind,
            "meaning": MEANING[kind],
            "of": [
                {
                    "kind": analysis.kind,
                    "gain": analysis.errors.gains[kind],
                    "count": analysis.errors.counts[kind],
                    "length": 100 * analysis.errors.gains[kind] / longest
                    if not math.isnan(analysis.errors.gains[kind])
                    else 0.0,
                }
                for analysis in analyses
            ],
        }
        for kind in KINDS_OF_ERROR
    ]


def _curves(analysis: Analysis) -> Chart:
    """Precision over recall at IoU 0.5: the mean and, of few classes, each; of many the weakest."""
    drawn = [
        (name, curve.at_recalls()[0])
        for name, curve in zip(analysis.truth.names, analysis.curves, strict=True)
        if curve.num_objects
    ]
    drawn.sort(key=lambda line: line[1].mean())
    shown = drawn[: _MOST_CURVES - 1]
    lines = [
        Series(f"{name} {values.mean():.3f}", RECALLS, values, color=k)
        for k, (name, values) in enumerate(shown, 1)
    ]
    if drawn:
        mean = np.mean([values for _, values in drawn], axis=0)
        lines.append(Series(f"mean {mean.mean():.3f}", RECALLS, mean, color=0, strong=True))
    left_out = len(drawn) - len(shown)
    note = f"The {len(shown)} weakest of {len(drawn)} classes are drawn." if left_out else ""
    return line_chart(
        "pr", "Precision over recall at IoU 0.5", lines[::-1], x_label="recall",
        y_label="precision", y_limits=(0, 1.02), note=note,
    )  # fmt: skip


def _over_scores(analysis: Analysis) -> Chart:
    """Precision, recall and F1 of all classes together when detections from a score on are kept."""
    together = analysis.together
    last = np.flatnonzero(last_of_each_score(together))
    last = last[:: max(1, len(last) // _MOST_POINTS)]
    scores, precision, recall = (
        column[last] for column in (together.scores, together.precision, together.recall)
    )
    f1 = f1_score(precision, recall)
    values = (("F1", f1), ("precision", precision), ("recall", recall))
    lines = [Series(name, scores, line, k, strong=not k) for k, (name, line) in enumerate(values)]
    best = analysis.point
    note = (
        ""
        if math.isnan(best.threshold)
        else f"Best at score {best.threshold:.2f}: F1 {fraction(best.f1)}, precision "
        f"{fraction(best.precision)}, recall {fraction(best.recall)}."
    )
    return line_chart(
        "scores", "Precision, recall and F1 by score", lines,
        x_label="detections kept from this score on", y_limits=(0, 1.02), note=note,
    )  # fmt: skip


def _calibration(analysis: Analysis) -> Chart:
    bins = analysis.calibration
    note = "There are no detections."
    if not math.isnan(bins.ece):
        with np.errstate(invalid="ignore"):
            gaps = (bins.confidence - bins.accuracy) * bins.counts
            gap = np.nansum(gaps) / bins.counts.sum()
        side = "too high" if gap > 0 else "too low"
        note = f"Expected calibration error {bins.ece:.3f}; scores are on average {abs(gap):.3f} {side}."
    return reliability_chart("calibration", "Calibration", bins.edges, bins.accuracy, note)


def findings(analysis: Analysis) -> list[str]:
    """Sentences; fewer when there is little to say."""
    return [
        *_costliest_error(analysis),
        *_weakest_class(analysis),
        *_most_confused(analysis),
        *_classes_without_objects(analysis),
        *_scores_far_off(analysis),
    ]


def _costliest_error(analysis: Analysis) -> list[str]:
    gains = analysis.errors.gains
    kind = max(gains, key=lambda name: gains[name])
    if not gains[kind] > _WORTH_TELLING:
        return []
    return [
        f"What costs most is {kind} ({MEANING[kind]}): without it AP50 would be "
        f"{gains[kind]:.3f} higher. What helps: {_ADVICE[kind]}."
    ]


def _weakest_class(analysis: Analysis) -> list[str]:
    by_class = {
        name: value
        for name, value in analysis.average_precision.by_class.items()
        if not math.isnan(value)
    }
    if len(by_class) < 2:
        return []
    weakest = min(by_class, key=lambda name: by_class[name])
    objects = analysis.average_precision.best[weakest].num_objects
    return [
        f"The weakest class is “{weakest}”, AP {by_class[weakest]:.3f}, with {objects} annotated "
        f"object{'' if objects == 1 else 's'} here."
    ]


def _most_confused(analysis: Analysis) -> list[str]:
    between = [
        (annotated, predicted, count)
        for annotated, predicted, count in analysis.confusion.worst(len(analysis.truth.names) ** 2)
        if BACKGROUND not in (annotated, predicted)
    ]
    if not between:
        return []
    annotated, predicted, count = between[0]
    times = "once" if count == 1 else f"{count} times"
    return [f"Most often confused: “{annotated}” taken for “{predicted}”, {times}."]


def _classes_without_objects(analysis: Analysis) -> list[str]:
    names = analysis.truth.names
    empty = [name for name, n in zip(names, analysis.truth.num_objects, strict=True) if not n]
    if not empty or len(empty) == len(names):
        return []
    shown = ", ".join(f"“{name}”" for name in empty[:5]) + (" …" if len(empty) > 5 else "")
    return [
        f"No number for {len(empty)} of {len(names)} classes, which have no object here: {shown}."
    ]


def _scores_far_off(analysis: Analysis) -> list[str]:
    error = analysis.calibration.ece
    if math.isnan(error) or error < _FAR_OFF:
        return []
    return [
        f"Scores are no probabilities here (calibration error {error:.2f}): choose thresholds from "
        "the table, not by feeling."
    ]
