"""Pictures of objects in images.

Origin: PaddleX `visualize`. Differences: a class keeps its colour from picture to picture, holes of
masks stay open, pictures of any depth and number of channels can be looked at. Labels are readable on any
ground and in any script whose font is installed: OpenCV can only write ASCII, so Pillow does; its own font
has no Chinese, Japanese or Korean, so the usual system fonts are tried for names outside Latin-1.
"""

import colorsys
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.image_headers import Size, load_array
from ..data.images import as_image, read_image
from ..data.inputs import input_pixels

Objects = Sequence[dict[str, Any]]
_MASK_OPACITY = 0.45
_SMALLEST_PANEL = 512  # pixels of the long side, so that labels fit small images
_GAP = 8
PAPER = 255  # white
_GOLDEN = 0.618033988749895  # steps of this size spread hues evenly for any number of classes
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "msyh.ttc",
    "simhei.ttf",
    "PingFang.ttc",
    "Arial Unicode.ttf",
    "DejaVuSans.ttf",
)
_SMALLEST, _OF_SIDE = 11, 0.024  # text height in pixels, and as a fraction of the long side
_MARGIN = 2
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom


def visualize(
    image: str | os.PathLike[str] | np.ndarray,
    result: Objects,
    threshold: float = 0.5,
    save_dir: str | os.PathLike[str] | None = "./",
    color: Any = None,
) -> np.ndarray | None:
    """Draw predicted objects into their image.

    Args:
        image: a file, an array (H, W, 3) in BGR order, or a Pillow picture.
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
    if isinstance(image, str | os.PathLike):
        pixels, name = read_viewable(image), os.path.basename(image)
    else:
        pixels, name = input_pixels(image, "BGR"), f"{int(time.time() * 1000)}.jpg"
    shown = [item for item in result if item["score"] >= threshold]
    picture = draw_objects(pixels, shown, colors)
    if save_dir is None:
        return picture
    _save(picture, Path(save_dir) / f"visualize_{name}")
    return None


def read_viewable(
    path: str | os.PathLike[str], size: Size | None = None, as_stored: bool = False
) -> np.ndarray:
    """A file as (H, W, 3) uint8 in BGR order, to look at.

    Pixels of 8 bits stay as they are. Of more than three channels the first three are shown, of two the
    first one.

    Args:
        size: (height, width) that a record says, as in `read_image`, as_stored likewise.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is not a picture.
    """
    if Path(path).suffix.lower() != ".npy":
        image = read_image(path, "BGR", size=size, keep_values=True, as_stored=as_stored)
        return _stretched(image)
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


@dataclass(frozen=True)
class Label:
    """A text for an object.

    Attributes:
        box: of the object, [x, y, width, height] in pixels.
        color: BGR of the ground behind the text.
    """

    text: str
    box: tuple[int, int, int, int]
    color: tuple[int, int, int]


def text_height(size: tuple[int, int]) -> int:
    """Font size in pixels that suits a picture of (height, width)."""
    return max(_SMALLEST, round(_OF_SIDE * max(size)))


def draw_labels(
    picture: np.ndarray, labels: list[Label], size: tuple[int, int] | None = None
) -> np.ndarray:
    """Write the labels at their boxes, where they cover no other label if that is possible.

    Args:
        picture: BGR, uint8.
        size: (height, width) that decides the font size; if None that of the picture.
    """
    if not labels:
        return picture
    canvas = Image.fromarray(np.ascontiguousarray(picture[:, :, ::-1]))
    pen = ImageDraw.Draw(canvas)
    height = text_height(size or picture.shape[:2])
    taken: list[Rectangle] = []
    for label in labels:
        font = _font(height, label.text)
        left, _, right, _ = pen.textbbox((0, 0), label.text, font=font)
        width = int(right - left) + 2 * _MARGIN
        ground = _free_rectangle(label.box, (width, height + 2 * _MARGIN), canvas.size, taken)
        taken.append(ground)
        blue, green, red = label.color
        pen.rectangle((ground[0], ground[1], ground[2] - 1, ground[3] - 1), fill=(red, green, blue))
        is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 140
        middle = (ground[0] + _MARGIN - left, (ground[1] + ground[3]) / 2)
        pen.text(middle, label.text, fill="black" if is_light else "white", font=font, anchor="lm")
    return np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])


def _free_rectangle(
    box: tuple[int, int, int, int],
    size: tuple[int, int],
    canvas: tuple[int, int],
    taken: list[Rectangle],
) -> Rectangle:
    """Above the box, else inside at its top, else below it; above again if all are taken."""
    x, y, _, box_height = box
    width, height = size
    left = int(np.clip(x, 0, max(0, canvas[0] - width)))
    candidates = []
    for top in (y - height, y, y + box_height, y + box_height - height):
        if 0 <= top <= canvas[1] - height:
            candidates.append((left, top, left + width, top + height))
    if not candidates:
        top = int(np.clip(y, 0, max(0, canvas[1] - height)))
        candidates = [(left, top, left + width, top + height)]
    free = (c for c in candidates if not any(_overlap(c, t) for t in taken))
    return next(free, candidates[0])


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _font(height: int, text: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    is_latin = all(ord(character) < 256 for character in text)
    return _plain_font(height) if is_latin else _wide_font(height)


@lru_cache(maxsize=8)
def _plain_font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


@lru_cache(maxsize=8)
def _wide_font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for name in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, height)
        except OSError:
            continue
    return _plain_font(height)
