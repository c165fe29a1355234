"""Whether scores mean what they say: of detections with score 0.8, four in five should be right.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (expected calibration error
over equal bins). A detection is right when it finds an object of its class at the IoU; what lies in
crowd regions is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matching import Matches
from .overlaps import Overlaps


@dataclass(frozen=True)
class Calibration:
    """Scores against the share of right detections.

    Attributes:
        edges: (B + 1,) of the bins, 0 to 1.
        counts: (B,) detections.
        confidence, accuracy: (B,) mean score and share of right ones; NaN of empty bins.
        ece: expected calibration error: mean of their distance, weighted by counts; NaN without
            detections.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    ece: float


def calibration(overlaps: Overlaps, matches: Matches, num_bins: int = 10) -> Calibration:
    """Sort the detections that count into bins of score.

    Args:
        num_bins: of equal width; each holds its upper edge, the first one zero too.
    """
    scores, right = overlaps.scores[matches.counts], matches.right[matches.counts]
    edges = np.linspace(0, 1, num_bins + 1)
    place = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, num_bins - 1)
    counts = np.bincount(place, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, scores, num_bins) / counts
        accuracy = np.bincount(place, right, num_bins) / counts
    distance = np.nan_to_num(np.abs(confidence - accuracy))
    ece = float((distance * counts).sum() / len(scores)) if len(scores) else float("nan")
    return Calibration(edges, counts, confidence, accuracy, ece)
