"""Scenes of simple shapes with exact masks, drawn from a seed.

Each object is coloured through the very mask that its annotation decodes to, so that picture and
ground truth agree to the pixel. Later objects cover earlier ones; a covered object's annotation is
what remains visible of it. Colour hints at the class but does not tell it: the hue is drawn around
one of the class's own, and for one object in four around any.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_util

SHAPES = ("circle", "square", "triangle", "star")

_MOST_OBJECTS = 5
_EMPTY_EVERY = 12  # the last of every dozen images has no object
_SIDE_OF_SHORT = (0.21, 0.52)  # object side as a fraction of the image's short side
_LEAST_VISIBLE = 0.55  # of an object's area, whatever covers it
_LEAST_INSIDE = 0.75  # of an object's area, at the border
_ATTEMPTS = 30
_HUE_SPREAD = 0.08
_ANY_HUE = 0.25  # fraction of objects whose colour says nothing


@dataclass
class DrawnObject:
    """One object: its class, its outline as [x1, y1, …] in pixels, and what is seen of it."""

    category: int
    outline: list[float]
    full: np.ndarray
    visible: np.ndarray


def draw_scene(
    rng: np.random.Generator, index: int, image_size: tuple[int, int]
) -> tuple[np.ndarray, list[DrawnObject]]:
    """Draw one image.

    Args:
        index: of the image in its set; decides which images are empty and the first class.
        image_size: shortest and longest side, in pixels.

    Returns:
        the image, (H, W, 3) uint8 BGR, and its objects from back to front.
    """
    height, width = rng.integers(image_size[0], image_size[1] + 1, 2)
    image = _background(rng, height, width)
    objects: list[DrawnObject] = []
    if index % _EMPTY_EVERY != _EMPTY_EVERY - 1:
        for k in range(rng.integers(1, _MOST_OBJECTS + 1)):
            category = index % len(SHAPES) if k == 0 else int(rng.integers(len(SHAPES)))
            _place(rng, image, objects, category)
    grained = cv2.GaussianBlur(image, (0, 0), 0.6) + rng.normal(0, 5, image.shape)
    return np.clip(np.round(grained), 0, 255).astype(np.uint8), objects


def annotate(drawn: DrawnObject) -> dict[str, Any]:
    """Box, mask and area as in COCO files: the outline where all is seen, RLE where covered."""
    height, width = drawn.visible.shape
    if np.array_equal(drawn.visible, drawn.full):
        points = np.array(drawn.outline).reshape(-1, 2)
        low = np.clip(points.min(axis=0), 0, (width, height))
        high = np.clip(points.max(axis=0), 0, (width, height))
        box = np.round([*low, *(high - low)], 2).tolist()
        segmentation: Any = [drawn.outline]
    else:
        rle = mask_util.encode(np.asfortranarray(drawn.visible))
        box = mask_util.toBbox(rle).tolist()
        segmentation = {"size": [height, width], "counts": rle["counts"].decode("ascii")}
    return {"bbox": box, "segmentation": segmentation, "area": int(drawn.visible.sum())}


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Soft patches of muted colour with thin lines and specks, which are no objects."""
    cells = (height // 24 + 2, width // 24 + 2)
    coarse = (rng.normal(0, 18, (*cells, 1)) + rng.normal(0, 8, (*cells, 3))).astype(np.float32)
    image = rng.uniform(60, 190) + rng.normal(0, 10, 3).astype(np.float32)
    image = image + cv2.resize(coarse, (int(width), int(height)), interpolation=cv2.INTER_CUBIC)
    image = np.ascontiguousarray(image, dtype=np.float32)
    for _ in range(rng.integers(2, 6)):
        ends = rng.integers(0, [width, height], (2, 2)).tolist()
        cv2.line(image, ends[0], ends[1], rng.uniform(30, 220, 3).tolist(), 1, cv2.LINE_AA)
    for _ in range(rng.integers(2, 8)):
        centre = rng.integers(0, [width, height]).tolist()
        cv2.circle(image, centre, int(rng.integers(1, 4)), rng.uniform(30, 220, 3).tolist(), -1)
    return image


def _place(
    rng: np.random.Generator, image: np.ndarray, objects: list[DrawnObject], category: int
) -> None:
    """Find a spot where nothing is hidden too much, and draw; without one, leave it."""
    height, width = image.shape[:2]
    for _ in range(_ATTEMPTS):
        side = min(height, width) * np.exp(rng.uniform(*np.log(_SIDE_OF_SHORT)))
        points = _shape(rng, category) * side / 2
        area = cv2.contourArea(points.astype(np.float32))
        points += rng.uniform((0.3 * side,) * 2, (width - 0.3 * side, height - 0.3 * side))
        outline = np.round(points, 2).reshape(-1).tolist()
        mask = mask_util.decode(mask_util.frPyObjects([outline], height, width))[:, :, 0]
        rest = [o.visible & ~mask.astype(bool) for o in objects]
        hidden = any(
            r.sum() < _LEAST_VISIBLE * o.full.sum() for r, o in zip(rest, objects, strict=True)
        )
        if mask.sum() < _LEAST_INSIDE * area or hidden:
            continue
        for earlier, remaining in zip(objects, rest, strict=True):
            earlier.visible = remaining.astype(np.uint8)
        objects.append(DrawnObject(category, outline, mask, mask.copy()))
        _paint(rng, image, mask.astype(bool), category)
        return


def _shape(rng: np.random.Generator, category: int) -> np.ndarray:
    """Corners (N, 2) around the origin, about two units across, turned and squeezed at random."""
    corners = {"circle": 32, "square": 4, "triangle": 3, "star": 10}[SHAPES[category]]
    radius = np.ones(corners)
    if SHAPES[category] == "star":
        radius[1::2] = 0.45
    angle = np.arange(corners) * 2 * np.pi / corners
    unit = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    unit[:, 1] *= rng.uniform(0.8, 1.0)
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return unit @ rotation.T


def _paint(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, category: int) -> None:
    """Colour the pixels of `mask`, with a gradient and grain."""
    hue = category / len(SHAPES) + rng.normal(0, _HUE_SPREAD)
    if rng.random() < _ANY_HUE:
        hue = rng.random()
    hsv = np.array([[[360 * (hue % 1), rng.uniform(0.45, 0.95), rng.uniform(0.55, 1.0)]]])
    colour = 255 * cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2BGR)[0, 0]
    y, x = np.nonzero(mask)
    direction = rng.normal(0, 1, 2)
    slope = direction[0] * (x - x.mean()) + direction[1] * (y - y.mean())
    shade = 25 * slope / max(1e-6, np.abs(slope).max()) + rng.normal(0, 6, len(x))
    image[y, x] = np.clip(colour + shade[:, None], 0, 255)
