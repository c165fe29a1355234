"""Focal loss anchor by anchor, from equation 5 of https://arxiv.org/abs/1708.02002."""

from __future__ import annotations

import math


def focal_loss(logits, labels, alpha, gamma):
    """Sum over pairs of a logit and a label that is 0 or 1."""
    total = 0.0
    for logit, label in zip(logits, labels, strict=True):
        probability = 1 / (1 + math.exp(-logit))
        right = probability if label == 1 else 1 - probability
        weight = 1.0 if alpha is None else alpha if label == 1 else 1 - alpha
        total += -weight * (1 - right) ** gamma * math.log(right)
    return total
