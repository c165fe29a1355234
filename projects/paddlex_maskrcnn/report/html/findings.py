"""What an analysis says in a few sentences, most important first."""

from __future__ import annotations

import math

from ...metrics.analysis import Analysis
from ...metrics.errors import BACKGROUND, MEANING

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


def findings(analysis: Analysis) -> list[str]:
    """Sentences; fewer when there is little to say."""
    return [
        *_costliest_error(analysis),
        *_weakest_class(analysis),
        *_confusion(analysis),
        *_classes_without_objects(analysis),
        *_calibration(analysis),
    ]


def _costliest_error(analysis: Analysis) -> list[str]:
    gains = analysis.errors.gains
    kind = max(gains, key=lambda name: gains[name])
    if not gains[kind] > _WORTH_TELLING:
        return []
    return [
        f"What costs most is {kind} ({MEANING[kind]}): without it AP50 would be "
        f"{100 * gains[kind]:.1f} points higher. What helps: {_ADVICE[kind]}."
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
        f"The weakest class is “{weakest}”, AP {100 * by_class[weakest]:.1f}, with {objects} annotated "
        f"object{'' if objects == 1 else 's'} here."
    ]


def _confusion(analysis: Analysis) -> list[str]:
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


def _calibration(analysis: Analysis) -> list[str]:
    error = analysis.calibration.ece
    if math.isnan(error) or error < _FAR_OFF:
        return []
    return [
        f"Scores are no probabilities here (calibration error {error:.2f}): choose thresholds from "
        "the table, not by feeling."
    ]
