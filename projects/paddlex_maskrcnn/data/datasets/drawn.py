"""A small data set that the project draws for itself: simple shapes with exact masks.

For trying everything out without a download: drawn on first use, stored as a COCO data set
like any other, the same for the same arguments.

Each object is coloured through the very mask that its annotation decodes to, so that picture and
ground truth agree to the pixel. Later objects cover earlier ones; a covered object's annotation is
what remains visible of it. Colour hints at the class but does not tell it: the hue is drawn around
one of the class's own, and for one object in four around any.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_util

from ...config import signatures
from ...config.dataset_params import CocoDetectionParams, DrawnShapesParams
from ...config.signature import takes_params
from .base import Content
from .coco import CocoDetection
from .problems import DatasetError

logger = logging.getLogger(__name__)

SHAPES = ("circle", "square", "triangle", "star")

_VERSION = 1  # of the drawing; a new one draws everything anew
_IMAGES_OF_SPLIT = {"train": 160}
_IMAGES_OF_OTHERS = 40
_JPEG_QUALITY = 95
_MOST_OBJECTS = 5
_EMPTY_EVERY = 12  # the last of every dozen images has no object
_SIDE_OF_SHORT = (0.21, 0.52)  # object side as a fraction of the image's short side
_LEAST_VISIBLE = 0.55  # of an object's area, whatever covers it
_LEAST_INSIDE = 0.75  # of an object's area, at the border
_ATTEMPTS = 30
_HUE_SPREAD = 0.08
_ANY_HUE = 0.25  # fraction of objects whose colour says nothing


class DrawnShapes(CocoDetection):
    """Circles, squares, triangles and stars on a noisy ground, partly covering each other."""

    @takes_params(DrawnShapesParams, "DrawnShapes", like=signatures.DrawnShapes)
    def __init__(self, params: DrawnShapesParams) -> None:
        """Draw the set if it is not there or was drawn with other arguments, then read it.

        Raises:
            ValueError: if an argument is not what is allowed.
            DatasetError: if the folder cannot be written or holds something else.
        """
        self._open(params)

    def _read(self, params: DrawnShapesParams) -> Content:  # type: ignore[override]
        folder = Path(params.data_dir) / params.split
        _ensure_drawn(folder, _recipe(params))
        ann_file = folder / _annotation_name(params.split)
        return super()._read(CocoDetectionParams(data_dir=str(folder), ann_file=str(ann_file)))


def _recipe(params: DrawnShapesParams) -> dict[str, Any]:
    """All that decides how the set looks."""
    num_images, size = params.num_images, params.image_size
    if num_images is None:
        num_images = _IMAGES_OF_SPLIT.get(params.split, _IMAGES_OF_OTHERS)
    return {
        "version": _VERSION,
        "split": params.split,
        "num_images": num_images,
        "image_size": [size] * 2 if isinstance(size, int) else size,
        "seed": params.seed,
    }


def _annotation_name(split: str) -> str:
    return f"instances_{split}.json"


def _ensure_drawn(folder: Path, recipe: dict[str, Any]) -> None:
    """Leave a complete set of this recipe in `folder`: never a part of one, never another."""
    if _recipe_of(folder, recipe["split"]) == recipe:
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise DatasetError(
            f"DrawnShapes: cannot write to {str(folder.parent)!r}: {error}"
        ) from error
    try:
        logger.info("drawing %d images into %s", recipe["num_images"], folder)
        _draw_set(fresh, recipe)
        fresh.chmod(0o755)
        _move_to(fresh, folder, recipe)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _recipe_of(folder: Path, split: str) -> dict[str, Any] | None:
    """What the set in `folder` was drawn with; None if there is none.

    Raises:
        DatasetError: if the folder holds something that was not drawn here.
    """
    if not folder.exists():
        return None
    try:
        info = json.loads((folder / _annotation_name(split)).read_bytes())["info"]
        return info["drawn_with"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"DrawnShapes: {str(folder)!r} exists but is not a drawn data set; "
            f"choose another data_dir, or remove the folder"
        ) from error


def _move_to(fresh: Path, folder: Path, recipe: dict[str, Any]) -> None:
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
        folder.rename(old / folder.name)
        shutil.rmtree(old)
    try:
        fresh.rename(folder)
    except OSError:  # another process was faster, which is as good if it drew the same
        if _recipe_of(folder, recipe["split"]) != recipe:
            raise


def _draw_set(folder: Path, recipe: dict[str, Any]) -> None:
    (folder / "images").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(recipe["num_images"]):
        # Each picture has its own stream: more pictures leave the first ones as they are.
        key = [recipe["seed"], zlib.crc32(recipe["split"].encode()), index]
        pixels, objects = draw_scene(np.random.default_rng(key), index, recipe["image_size"])
        name = f"images/{index:05d}.jpg"
        _write_jpeg(folder / name, pixels)
        height, width = pixels.shape[:2]
        images.append({"id": index + 1, "file_name": name, "height": height, "width": width})
        for drawn in objects:
            ids = {"id": len(annotations) + 1, "image_id": index + 1, "iscrowd": 0}
            annotations.append({**ids, "category_id": drawn.category + 1, **annotate(drawn)})
    content = {
        "info": {"description": "drawn shapes", "drawn_with": recipe},
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": k + 1, "name": name, "supercategory": "shape"} for k, name in enumerate(SHAPES)
        ],
    }
    (folder / _annotation_name(recipe["split"])).write_text(json.dumps(content))


def _write_jpeg(path: Path, pixels: np.ndarray) -> None:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    path.write_bytes(data.tobytes())


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
            _add_object(rng, image, objects, category)
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


def _add_object(
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
