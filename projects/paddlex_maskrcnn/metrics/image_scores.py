"""How well each image went, worst first, for looking at what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matching import match
from .overlaps import Overlaps


@dataclass(frozen=True)
class ImageScore:
    """One image at a score threshold.

    Attributes:
        image_id: as in the annotations.
        right, missed, false: objects found, objects not found, detections that find nothing.
        f1: 2 right / (2 right + missed + false); 1 for an empty image where nothing was detected.
        rows: places in the results of the detections above the threshold, best first.
        false_rows: those of them that find nothing.
        missed_objects: places in the annotations of a `Truth`.
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


def image_scores(overlaps: Overlaps, threshold: float, iou: float = 0.5) -> list[ImageScore]:
    """All images, lowest F1 first; of equal ones that with more mistakes.

    Args:
        overlaps: of boxes or masks.
        threshold: score from which detections take part.
        iou: from which a detection finds an object of its class.
    """
    truth, matches = overlaps.truth, match(overlaps, iou)
    kept = overlaps.scores >= threshold
    right, false = kept & matches.right, kept & matches.counts & ~matches.right
    missed = ~truth.crowd
    missed[matches.found[right]] = False
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
                rows=rows[kept[here]].tolist(),
                false_rows=false_rows,
                missed_objects=missed_objects,
            )
        )
    return sorted(scores, key=lambda one: (one.f1, -one.mistakes))
