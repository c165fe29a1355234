"""Pictures of objects in images.

Origin: PaddleX `visualize`. Differences: a class keeps its colour from picture to picture, holes of
masks stay open, labels are readable on any ground and in any script whose font is installed; pictures
of any depth and number of channels can be looked at.
"""

import colorsys
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..data.image_headers import Size, load_array
from ..data.images import as_image, read_image
from .labels import Label, draw_labels, text_height

Objects = Sequence[dict[str, Any]]

_MASK_OPACITY = 0.45
_SMALLEST_PANEL = 512  # pixels of the long side, so that labels fit small images
_GAP = 8
PAPER = 255  # white
_GOLDEN = 0.618033988749895  # steps of this size spread hues evenly for any number of classes


def visualize(
    image: str | os.PathLike[str] | np.ndarray,
    result: Objects,
    threshold: float = 0.5,
    save_dir: str | os.PathLike[str] | None = "./",
    color: Any = None,
) -> np.ndarray | None:
    """Draw predicted objects into their image.

    Args:
        image: a file, or an array (H, W, 3) in BGR order.
        result: what `predict` returned for it.
        threshold: objects with a lower score are left out.
        save_dir: folder for `visualize_<name of the image>`; if None the picture is returned.
        color: BGR colours, (number of classes, 3), 0 to 255; if None chosen by class.

    Returns:
        (H, W, 3) uint8 in BGR order if save_dir is None, otherwise nothing.

    Raises:
        ValueError: if color has another shape or too few rows, or a mask does not fit the image.
    """
    colors = None if color is None else _given_colors(color, result)
    if isinstance(image, np.ndarray):
        pixels, name = as_image(image, "BGR"), f"{int(time.time() * 1000)}.jpg"
    else:
        pixels, name = read_viewable(image), os.path.basename(image)
    shown = [item for item in result if item["score"] >= threshold]
    picture = draw_objects(pixels, shown, colors)
    if save_dir is None:
        return picture
    _save(picture, Path(save_dir) / f"visualize_{name}")
    return None


def read_viewable(path: str | os.PathLike[str], size: Size | None = None) -> np.ndarray:
    """A file as (H, W, 3) uint8 in BGR order, to look at.

    Pixels of 8 bits stay as they are. Of more than three channels the first three are shown, of two the
    first one.

    Args:
        size: (height, width) that a record says, as in `read_image`.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is not a picture.
    """
    if Path(path).suffix.lower() != ".npy":
        return _stretched(read_image(path, "BGR", size=size, keep_values=True))
    array = load_array(Path(path))
    colors = array[:, :, 2::-1] if array.ndim == 3 and array.shape[2] >= 3 else array
    shown = colors if colors.ndim == 2 or colors.shape[2] == 3 else colors[:, :, 0]
    return _stretched(as_image(shown, "BGR", keep_values=True))


def _stretched(image: np.ndarray) -> np.ndarray:
    """Pixels of any type as uint8, from the lowest to the highest: 12 bits in a file for 16 are seen."""
    if image.dtype == np.uint8:
        return image
    finite = np.nan_to_num(image.astype(np.float64), posinf=0, neginf=0)
    low, high = finite.min(), finite.max()
    return np.rint((finite - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)


def comparison(image: np.ndarray, truth: Objects, predictions: Objects) -> np.ndarray:
    """Annotated objects on the left, predicted ones on the right.

    Args:
        image: (H, W, 3) in BGR order.
        truth: objects in the form that `predict` returns; scores are not shown.
        predictions: what `predict` returned; all are drawn.

    Returns:
        uint8 in BGR order; small images are enlarged.
    """
    annotated = [{**item, "score": None} for item in truth]
    panels = [
        drawn_and_titled(image, annotated, f"ground truth: {_count(truth)}"),
        drawn_and_titled(image, predictions, _prediction_title(predictions)),
    ]
    gap = np.full((panels[0].shape[0], _GAP, 3), PAPER, np.uint8)
    return np.hstack([panels[0], gap, panels[1]])


def drawn_and_titled(image: np.ndarray, objects: Objects, title: str) -> np.ndarray:
    """Objects in their image, under a title.

    Args:
        image: (H, W, 3) in BGR order.
        objects: in the form that `predict` returns; those without a score show none.

    Returns:
        uint8 in BGR order; small images are enlarged.
    """
    scale = max(1.0, _SMALLEST_PANEL / max(image.shape[:2]))
    pixels = _resized(as_image(image, "BGR"), scale, cv2.INTER_CUBIC)
    return _titled(draw_objects(pixels, _scaled(objects, scale)), title)


def draw_objects(
    image: np.ndarray, objects: Objects, colors: np.ndarray | None = None
) -> np.ndarray:
    """A copy of a BGR image with masks, boxes and labels, large objects under small ones."""
    picture = np.ascontiguousarray(_eight_bits(image)).copy()
    ordered = sorted(objects, key=lambda item: -item["bbox"][2] * item["bbox"][3])
    line = max(1, round(max(picture.shape[:2]) / 500))
    labels = []
    for item in ordered:
        row = item["category_id"] - 1
        color = class_color(row) if colors is None else _row_color(colors, row)
        _draw_mask(picture, item.get("mask"), color, line)
        x, y, width, height = (round(value) for value in item["bbox"])
        cv2.rectangle(picture, (x, y), (x + width, y + height), color, line, cv2.LINE_AA)
        score = "" if item["score"] is None else f" {item['score']:.2f}"
        text = f"{item['category']}{score}"
        labels += [Label(text, (x, y, width, height), color)] if text else []
    return draw_labels(picture, labels)


def class_color(index: int) -> tuple[int, int, int]:
    """BGR colour of the class with this index, 0 to 255."""
    saturation, value = ((0.85, 1.0), (0.6, 1.0), (0.9, 0.75))[index // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb((0.58 + index * _GOLDEN) % 1, saturation, value)
    return round(255 * blue), round(255 * green), round(255 * red)


def _given_colors(color: Any, result: Sequence[dict[str, Any]]) -> np.ndarray:
    """The user's colours as an array, after checking that they suffice for the result.

    Raises:
        ValueError: if the shape is not (number of classes, 3), values are not from 0 to 255, or a
            class in the result has no row.
    """
    try:
        colors = np.asarray(color, dtype=float)
    except (TypeError, ValueError):
        colors = np.empty(0)
    needed = max((item["category_id"] for item in result), default=0)
    is_table = colors.ndim == 2 and colors.shape[1] == 3 and len(colors) >= needed
    if not is_table or colors.min(initial=0) < 0 or colors.max(initial=0) > 255:
        raise ValueError(
            f"color must be a table of BGR values from 0 to 255 with one row for each class "
            f"(at least {needed} rows for this result), got shape {np.shape(colors)}"
        )
    return colors


def _row_color(colors: np.ndarray, row: int) -> tuple[int, int, int]:
    """One row of the user's colours, as OpenCV takes it."""
    blue, green, red = (int(value) for value in colors[row])
    return blue, green, red


def _draw_mask(picture: np.ndarray, mask: Any, color: tuple[int, int, int], line: int) -> None:
    """Tint and outline a mask, dense or a window (left, top, bits) of one."""
    if mask is None:
        return
    x, y, bits = mask if isinstance(mask, tuple) else _window(mask, picture.shape[:2])
    bits = np.ascontiguousarray(bits, dtype=np.uint8)
    height, width = bits.shape
    part = picture[y : y + height, x : x + width]
    if part.shape[:2] != bits.shape:
        raise ValueError(
            f"result: a mask reaches over the image {picture.shape[:2]} (height, width); "
            f"was the result made from another image?"
        )
    if not bits.any():
        return
    inside = bits.astype(bool)
    blend = (1 - _MASK_OPACITY) * part[inside] + _MASK_OPACITY * np.array(color)
    part[inside] = np.round(blend).astype(np.uint8)
    outlines, _ = cv2.findContours(bits, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x, y))
    cv2.drawContours(picture, outlines, -1, color, line)


def _window(mask: np.ndarray, size: tuple[int, int]) -> tuple[int, int, np.ndarray]:
    """The part of a dense mask that is not zero, and where it stands."""
    if mask.shape != size:
        raise ValueError(
            f"result: a mask has shape {mask.shape}, the image {size} "
            f"(height, width); was the result made from another image?"
        )
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask, dtype=np.uint8))
    return x, y, mask[y : y + height, x : x + width]


def _eight_bits(image: np.ndarray) -> np.ndarray:
    """Pixels of any type as uint8, for looking at."""
    return image if image.dtype == np.uint8 else np.clip(image, 0, 255).astype(np.uint8)


def _resized(image: np.ndarray, scale: float, interpolation: int) -> np.ndarray:
    if scale == 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=interpolation)


def _scaled(objects: Objects, scale: float) -> list[dict[str, Any]]:
    return [
        {
            **item,
            "bbox": [scale * value for value in item["bbox"]],
            "mask": _scaled_mask(item.get("mask"), scale),
        }
        for item in objects
    ]


def _scaled_mask(mask: Any, scale: float) -> np.ndarray | None:
    if mask is None:
        return None
    return _resized(np.asarray(mask, np.uint8), scale, cv2.INTER_NEAREST)


def _count(objects: Objects) -> str:
    return f"{len(objects)} object" + ("" if len(objects) == 1 else "s")


def _prediction_title(objects: Objects) -> str:
    if not objects:
        return "prediction: nothing"
    low, high = (f"{pick(item['score'] for item in objects):.2f}" for pick in (min, max))
    scores = f"score {low}" if low == high else f"scores {low} to {high}"
    return f"prediction: {_count(objects)}, {scores}"


def _titled(panel: np.ndarray, title: str) -> np.ndarray:
    """The panel under a white bar with its title."""
    bar_height = text_height(panel.shape[:2]) + 8
    bar = np.full((bar_height, panel.shape[1], 3), PAPER, np.uint8)
    paper = (PAPER,) * 3
    top = draw_labels(bar, [Label(title, (0, 0, 0, bar_height), paper)], panel.shape[:2])
    return np.vstack([top, panel])


def _save(picture: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.haveImageWriter(str(path)):
        path = path.with_name(path.name + ".png")
    if not cv2.imwrite(str(path), picture):
        raise OSError(f"cannot write {str(path)!r}")
