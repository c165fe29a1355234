"""What scores say: the threshold that serves best, how far they are probabilities, each image's F1.

- Precision, recall and F1 are those at the score with the highest F1: detections from that score on
  are kept; every score that occurs is tried, and of equal F1 the highest score wins. Matching is greedy
  from the best score on, so a lower threshold never changes what the detections above it are matched with.
- Calibration: of detections with score 0.8, four in five should be right. Source: Guo et al., On
  Calibration of Modern Neural Networks, ICML 2017 (expected calibration error over equal bins).
- The images, worst first, for looking at what goes wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matching import Curve, Matches
from .overlaps import Overlaps


@dataclass(frozen=True)
class OperatingPoint:
    """What one class, or all together, is like when detections from a score on are kept; fractions.

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


UNDEFINED = OperatingPoint(np.nan, np.nan, np.nan, np.nan, 0)  # nothing is annotated


def f1_score(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Harmonic mean; 0 where both are."""
    return 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def last_of_each_score(curve: Curve) -> np.ndarray:
    """(N,) bool: the points of a curve that a threshold can reach: of equal scores all are kept or none."""
    return np.r_[np.diff(curve.scores) != 0, True][: len(curve.scores)]


def best_point(curve: Curve) -> OperatingPoint:
    """The point of highest F1 on a curve."""
    if not curve.num_objects:
        return UNDEFINED
    if not curve.recall.any():
        nothing_right = 0.0 if len(curve.scores) else np.nan
        return OperatingPoint(np.nan, nothing_right, 0.0, 0.0, curve.num_objects)
    last = last_of_each_score(curve)
    precision, recall = curve.precision[last], curve.recall[last]
    f1 = f1_score(precision, recall)
    at = int(np.argmax(f1))
    return OperatingPoint(
        threshold=float(curve.scores[last][at]),
        precision=float(precision[at]),
        recall=float(recall[at]),
        f1=float(f1[at]),
        num_objects=curve.num_objects,
    )


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
    """Sort the detections that count into bins of score; those in crowd regions are left out.

    Args:
        matches: say which detections are right: those that find an object of their class.
        num_bins: of equal width; each holds its upper edge, the first one zero too.
    """
    scores, right = overlaps.scores[matches.counts], matches.right[matches.counts]
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bins, scores, num_bins) / counts
        accuracy = np.bincount(bins, right, num_bins) / counts
    distance = np.nan_to_num(np.abs(confidence - accuracy))
    ece = float((distance * counts).sum() / len(scores)) if len(scores) else float("nan")
    return Calibration(edges, counts, confidence, accuracy, ece)


@dataclass(frozen=True)
class ImageScore:
    """One image at a score threshold.

    Attributes:
        image_id: as in the annotations.
        right, missed, false: objects found, objects not found, detections that find nothing.
        f1: 2 right / (2 right + missed + false); 1 for an empty image where nothing was detected.
        rows: indices into the results, of the detections above the threshold, best first.
        false_rows: those of them that find nothing.
        missed_objects: indices into the annotations of a `Truth`.
    """

    image_id: int
    right: int
    missed: int
    false: int
    f1: float
    rows: list[int]
    false_rows: list[int]
    missed_objects: list[int]

    @property
    def mistakes(self) -> int:
        """Objects missed and false detections."""
        return self.missed + self.false


def image_scores(overlaps: Overlaps, matches: Matches, threshold: float) -> list[ImageScore]:
    """All images, lowest F1 first; of equal ones that with more mistakes.

    Args:
        matches: of the same detections, at the IoU that counts.
        threshold: score from which detections take part.
    """
    truth = overlaps.truth
    shown = overlaps.scores >= threshold
    right, false = shown & matches.right, shown & matches.counts & ~matches.right
    missed = ~truth.crowd
    missed[matches.target[right]] = False
    every = np.arange(len(truth.image_ids) + 1)
    bounds = np.searchsorted(overlaps.images, every).tolist()
    object_bounds = np.searchsorted(truth.images, every).tolist()
    scores = []
    for i, image_id in enumerate(truth.image_ids.tolist()):
        here, there = slice(*bounds[i : i + 2]), slice(*object_bounds[i : i + 2])
        rows = overlaps.rows[here]
        num_right = int(right[here].sum())
        missed_objects = (np.flatnonzero(missed[there]) + there.start).tolist()
        false_rows = rows[false[here]].tolist()
        total = 2 * num_right + len(missed_objects) + len(false_rows)
        scores.append(
            ImageScore(
                image_id=image_id,
                right=num_right,
                missed=len(missed_objects),
                false=len(false_rows),
                f1=2 * num_right / total if total else 1.0,
                rows=rows[shown[here]].tolist(),
                false_rows=false_rows,
                missed_objects=missed_objects,
            )
        )
    return sorted(scores, key=lambda score: (score.f1, -score.mistakes))
