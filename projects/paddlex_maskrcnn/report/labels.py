"""Text on pictures, in any script, readable on any ground.

OpenCV can only write ASCII, so Pillow does. Its own font has no Chinese, Japanese or Korean; for
names outside Latin-1 the usual system fonts are tried.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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
