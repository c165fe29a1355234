"""Greedy NMS of each class in loops; the measure of overlap is a function of two boxes."""

from __future__ import annotations

from .boxes import best_first, by_class, centre_distance, iou


def greedy_nms(boxes, scores, classes, threshold, top_k, measure):
    """Indices and scores of the kept boxes; equal scores are taken in input order."""
    picks = []
    for members in by_class(classes):
        waiting = sorted(members, key=lambda i: (-scores[i], i))
        while waiting:
            best = waiting.pop(0)
            picks.append((best, scores[best]))
            waiting = [i for i in waiting if measure(boxes[best], boxes[i]) <= threshold]
    return best_first(picks, top_k)


def hard_nms(boxes, scores, classes, threshold, top_k):
    return greedy_nms(boxes, scores, classes, threshold, top_k, iou)


def diou(a, b):
    """Distance-IoU of https://arxiv.org/abs/1911.08287, equation 6."""
    return iou(a, b) - centre_distance(a, b)


def diou_nms(boxes, scores, classes, threshold, top_k):
    return greedy_nms(boxes, scores, classes, threshold, top_k, diou)
