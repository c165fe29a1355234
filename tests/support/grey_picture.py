"""A grey picture, an object to draw on it, and which of its pixels a drawing has changed."""

import numpy as np

GREY = np.full((120, 160, 3), 128, np.uint8)


def thing(category_id=1, box=(20, 40, 60, 50), score=0.9, category="nut"):
    """An object as `predict` returns it, whose mask fills its box."""
    x, y, w, h = box
    mask = np.zeros((120, 160), np.uint8)
    mask[y : y + h, x : x + w] = 1
    return {"bbox": [float(v) for v in box], "mask": mask, "category": category,
            "category_id": category_id, "score": score}  # fmt: skip


def changed(picture):
    """(120, 160) bool."""
    return (picture != GREY).any(axis=2)
