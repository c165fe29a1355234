"""Overlap of two boxes in plain floats, and the order in which NMS functions return boxes."""

from __future__ import annotations


def iou(a, b):
    """Intersection over union of XYXY boxes; 0 when one has no area."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def centre_distance(a, b):
    """Squared distance of the centres by the squared diagonal of the box around both."""
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    width, height = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    diagonal = width**2 + height**2
    return (dx**2 + dy**2) / diagonal if diagonal > 0 else 0.0


def best_first(picks, top_k):
    """Indices and scores of (index, score) pairs, best first, equals by index."""
    picks = sorted(picks, key=lambda pick: (-pick[1], pick[0]))
    picks = picks if top_k < 0 else picks[:top_k]
    return [index for index, _ in picks], [score for _, score in picks]


def by_class(classes):
    """Indices of the boxes of each class, in input order."""
    return [[i for i, c in enumerate(classes) if c == each] for each in sorted(set(classes))]
