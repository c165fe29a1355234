"""Why an average precision is zero or undefined, in a sentence that says where to look."""

from __future__ import annotations

import numpy as np

from .overlaps import Overlaps
from .truth import Truth


def why_undefined(truth: Truth, name: str) -> str:
    """Of data without an object that counts; empty when there is one.

    Args:
        name: what messages call the data.
    """
    if truth.num_objects.sum():
        return ""
    if len(truth.crowd):
        return (
            f"AP is undefined: all {len(truth.crowd)} annotations of {name} are crowd regions or "
            "marked to be ignored"
        )
    return f"AP is undefined: {name} has no annotated object in its {len(truth.image_ids)} images"


def why_zero(overlaps: Overlaps) -> str:
    """Of detections of which none finds an object at IoU 0.5.

    Args:
        overlaps: of at least one detection.
    """
    truth = overlaps.truth
    real = ~truth.crowd[overlaps.object]
    own = real & overlaps.of_own_class
    best = overlaps.iou[own].max(initial=0.0)
    crossed = len(np.unique(overlaps.detection[real & ~own & (overlaps.iou >= 0.5)]))
    total = len(overlaps.scores)
    text = (
        f"AP is 0: none of {total} detections (highest score {overlaps.scores.max():.3f}) overlaps "
        f"an object of its class by half; the best overlap is {best:.2f}"
    )
    if crossed:
        return text + (
            f". {crossed} overlap an object of another class by half: are the classes of the model "
            "and of the data in the same order?"
        )
    if not len(overlaps.iou):
        return text + ". None touches any object: do annotations and images belong together?"
    return text + "; train longer"
