"""Matrix NMS of each class in loops, linear form, section 3.3 of https://arxiv.org/abs/2003.10152.

Where the paper's formula has 0 in the divisor (a box equal to a better one, which has lost all of
its own score) that box does not count: it has no score to suppress with.
"""

from __future__ import annotations

from .boxes import best_first, by_class, iou


def matrix_nms(boxes, scores, classes, post_threshold, top_k):
    """Indices and decayed scores; equal scores rank in input order."""
    picks = []
    for members in by_class(classes):
        ranked = sorted(members, key=lambda i: (-scores[i], i))
        most = []
        for rank, box in enumerate(ranked):
            overlaps = [iou(boxes[better], boxes[box]) for better in ranked[:rank]]
            factors = [(1 - o) / (1 - m) for o, m in zip(overlaps, most, strict=True) if m < 1]
            most.append(max(overlaps, default=0.0))
            picks.append((box, scores[box] * min([1.0, *factors])))
    return best_first([pick for pick in picks if pick[1] > post_threshold], top_k)
