"""RandomCrop of PaddleX's document and spec, step by step with loops; draws the same numbers."""

import math

import numpy as np


def iou_crop(
    height: int,
    width: int,
    boxes: list[list[float]],
    aspect_ratio: list[float],
    thresholds: list[float],
    scaling: list[float],
    num_attempts: int,
    allow_no_crop: bool,
    cover_all_box: bool,
) -> tuple[list[int], list[int]] | None:
    """The part [x1, y1, x2, y2] and the boxes kept, or None for the whole image."""
    if not boxes:
        return None
    choices: list = [*thresholds, "no_crop"] if allow_no_crop else list(thresholds)
    np.random.shuffle(choices)
    for threshold in choices:
        if threshold == "no_crop":
            return None
        for _ in range(num_attempts):
            scale = np.random.uniform(scaling[0], scaling[1])
            low = max(aspect_ratio[0], scale * scale)
            high = min(aspect_ratio[1], 1 / (scale * scale))
            ratio = np.random.uniform(low, high)
            part_height = int(height * scale / math.sqrt(ratio))
            part_width = int(width * scale * math.sqrt(ratio))
            y = np.random.randint(0, height - part_height + 1)
            x = np.random.randint(0, width - part_width + 1)
            part = [x, y, x + part_width, y + part_height]
            overlaps = [_iou(box, part) for box in boxes]
            if max(overlaps) < threshold:
                continue
            if cover_all_box and min(overlaps) < threshold:
                continue
            kept = [k for k, box in enumerate(boxes) if _holds_center(part, box)]
            if kept:
                return part, kept
    return None


def _iou(a: list[float], b: list[float]) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return wide * high / (both - wide * high)


def _holds_center(part: list[int], box: list[float]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return part[0] <= x < part[2] and part[1] <= y < part[3]
