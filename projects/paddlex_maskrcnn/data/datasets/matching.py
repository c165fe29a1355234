"""Which mask belongs to which box, where both are numbered and the numbers may disagree."""

import math
from collections.abc import Mapping, Sequence

_SURE = 0.5  # IoU from which a mask and a box of the same number are taken at their word
_LEAST = 0.3  # IoU below which a mask and a box of different numbers are not joined
_LEAST_OF_SAME = 0.1
_INSIDE = 0.8  # or this part of the mask in the box: void borders eat most of a small object
_BONUS_OF_SAME = 0.2

Box = Sequence[float]


def match_by_box(masks: Mapping[int, Box], boxes: Sequence[Box | None]) -> dict[int, int]:
    """Position of a box -> number of its mask.

    Where all agree, mask k belongs to box k - 1. Otherwise pairs are made greedily, best IoU first,
    with a preference for equal numbers. A box of None takes the mask of its number.

    Args:
        masks: number, from 1, -> [x, y, width, height] around its pixels.
        boxes: [x, y, width, height] in the order of their numbers.
    """
    expected = {k: k + 1 for k in range(len(boxes)) if k + 1 in masks}
    agree = all(_overlap(masks[number], boxes[k]) >= _SURE for k, number in expected.items())
    if agree and len(expected) == len(masks):
        return expected
    pairs = []
    for number, mask in masks.items():
        for k, box in enumerate(boxes):
            same = number == k + 1
            overlap = _overlap(mask, box) if same or box is not None else 0.0
            inside = same and _overlap(mask, box, of_first=True) >= _INSIDE
            if inside or overlap >= (_LEAST_OF_SAME if same else _LEAST):
                pairs.append((overlap + _BONUS_OF_SAME * same, k, number))
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for _, k, number in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
        if k not in matched and number not in taken:
            matched[k] = number
            taken.add(number)
    return matched


def _overlap(a: Box, b: Box | None, of_first: bool = False) -> float:
    """IoU of two boxes (or their intersection over the first); 1 with None, 0 if not finite."""
    if b is None:
        return 1.0
    if not all(map(math.isfinite, b)):
        return 0.0
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    whole = a[2] * a[3] if of_first else a[2] * a[3] + b[2] * b[3] - shared
    return shared / max(whole, 1e-9)
