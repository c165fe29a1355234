"""Precision, recall and F1 at the score that serves best: the one with the highest F1.

Detections from that score on are kept; every score that occurs is tried, and of equal F1 the highest
score wins. Matching is greedy from the best score on, so a lower threshold never changes what the
detections above it have found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matching import Curve, Matches, curve, curves
from .overlaps import Overlaps


@dataclass(frozen=True)
class OperatingPoint:
    """What one class is like when detections from a score on are kept; fractions.

    Attributes:
        threshold: the score; NaN when no score gives a right detection.
        precision, recall, f1: at that score; NaN where there is nothing to divide by.
        num_objects: annotated ones, crowd regions left out.
    """

    threshold: float
    precision: float
    recall: float
    f1: float
    num_objects: int


def best_point(one: Curve) -> OperatingPoint:
    """The point of highest F1 on a curve."""
    if not one.num_objects:
        return OperatingPoint(np.nan, np.nan, np.nan, np.nan, 0)
    if not one.recall.any():
        nothing_right = 0.0 if len(one.scores) else np.nan
        return OperatingPoint(np.nan, nothing_right, 0.0, 0.0, one.num_objects)
    last = np.r_[np.diff(one.scores) != 0, True]  # of equal scores all are kept or none
    precision, recall = one.precision[last], one.recall[last]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    at = int(np.argmax(f1))
    return OperatingPoint(
        threshold=float(one.scores[last][at]),
        precision=float(precision[at]),
        recall=float(recall[at]),
        f1=float(f1[at]),
        num_objects=one.num_objects,
    )


def best_points(overlaps: Overlaps, matches: Matches) -> dict[str, OperatingPoint]:
    """Class name -> its best point."""
    names = overlaps.truth.names
    return {
        name: best_point(one) for name, one in zip(names, curves(overlaps, matches), strict=True)
    }


def curve_of_all(overlaps: Overlaps, matches: Matches) -> Curve:
    """All classes together, every object of the same weight."""
    kept = matches.counts
    num_objects = int(matches.objects.sum())
    return curve(overlaps.scores[kept], matches.right[kept], num_objects)
