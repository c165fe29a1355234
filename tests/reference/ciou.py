"""Complete-IoU loss of one pair of boxes, from https://arxiv.org/abs/1911.08287 in plain floats."""

from __future__ import annotations

import math


def ciou_loss(box, target):
    """Loss of XYXY boxes of positive width and height."""
    (x1, y1, x2, y2), (u1, v1, u2, v2) = box, target
    shared = max(0.0, min(x2, u2) - max(x1, u1)) * max(0.0, min(y2, v2) - max(y1, v1))
    iou = shared / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared)
    distance = ((x1 + x2 - u1 - u2) / 2) ** 2 + ((y1 + y2 - v1 - v2) / 2) ** 2
    diagonal = (max(x2, u2) - min(x1, u1)) ** 2 + (max(y2, v2) - min(y1, v1)) ** 2
    angles = math.atan((u2 - u1) / (v2 - v1)) - math.atan((x2 - x1) / (y2 - y1))
    v = 4 / math.pi**2 * angles**2
    alpha = v / (1 - iou + v) if v > 0 else 0.0
    return 1 - iou + distance / diagonal + alpha * v
