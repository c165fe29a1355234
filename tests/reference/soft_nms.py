"""Gaussian soft-NMS of each class in loops, figure 2 of https://arxiv.org/abs/1704.04503."""

from __future__ import annotations

import math

from .boxes import best_first, by_class, iou


def soft_nms(boxes, scores, classes, sigma, score_threshold, top_k):
    """Indices and decayed scores; equal scores are taken in input order."""
    picks = []
    for members in by_class(classes):
        waiting = {i: scores[i] for i in members if scores[i] > score_threshold}
        while waiting:
            best = min(waiting, key=lambda i: (-waiting[i], i))
            picks.append((best, waiting.pop(best)))
            decayed = {
                i: score * math.exp(-(iou(boxes[best], boxes[i]) ** 2) / sigma)
                for i, score in waiting.items()
            }
            waiting = {i: score for i, score in decayed.items() if score > score_threshold}
    return best_first(picks, top_k)
