"""Matching of boxes with objects, in which an object that nothing overlaps gets nothing.

What: Detectron2's `Matcher`; see `TouchingMatcher` for the difference.
Differences on a GPU: the same matches without waiting for the device (device_copies.py).
"""

from __future__ import annotations

import torch
from detectron2.modeling.matcher import Matcher

from .device_copies import spares_waits


class TouchingMatcher(Matcher):
    """Matcher whose low-quality matches need some overlap."""

    def __call__(self, match_quality_matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Matched object and label of each box, each (N,), from overlaps (M, N)."""
        if not spares_waits(match_quality_matrix) or match_quality_matrix.numel() == 0:
            return super().__call__(match_quality_matrix)
        best, matches = match_quality_matrix.max(dim=0)
        labels = torch.ones_like(matches, dtype=torch.int8)
        ranges = zip(self.labels, self.thresholds[:-1], self.thresholds[1:], strict=True)
        for label, low, high in ranges:
            labels.masked_fill_((best >= low) & (best < high), label)
        if self.allow_low_quality_matches:
            of_object = match_quality_matrix.amax(dim=1, keepdim=True)
            is_best = (match_quality_matrix == of_object) & (of_object > 0)
            labels.masked_fill_(is_best.any(dim=0), 1)
        return matches, labels

    def set_low_quality_matches_(
        self, match_labels: torch.Tensor, match_quality_matrix: torch.Tensor
    ) -> None:
        """Mark the best anchors of each object, for objects that have an anchor at all."""
        touched = match_quality_matrix.amax(dim=1) > 0
        # Indexing copies a matrix of (objects, anchors): only in the rare case it is needed for.
        matrix = match_quality_matrix if touched.all() else match_quality_matrix[touched]
        super().set_low_quality_matches_(match_labels, matrix)
