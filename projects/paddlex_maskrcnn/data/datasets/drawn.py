"""A small data set that the project draws for itself.

For trying everything out without a download: drawn on first use, kept on disk as a COCO data set
like any other, the same for the same arguments.
"""

import json
import logging
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..transforms.compose import Compose
from .coco import CocoDetection
from .drawing import SHAPES, annotate, draw_scene
from .options import check_reading_options
from .problems import DatasetError

logger = logging.getLogger(__name__)

_VERSION = 1  # of the drawing; a new one draws everything anew
_IMAGES_OF_SPLIT = {"train": 160}
_IMAGES_OF_OTHERS = 40
_SMALLEST = 64
_JPEG_QUALITY = 95


class DrawnShapes(CocoDetection):
    """Circles, squares, triangles and stars on a noisy ground, partly covering each other."""

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        split: str = "train",
        num_images: int | None = None,
        image_size: int | Sequence[int] = (128, 192),
        seed: int = 0,
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        shuffle: bool = False,
    ) -> None:
        """Draw the set if it is not there or was drawn with other arguments, then read it.

        Args:
            data_dir: where to keep it; each split gets a folder of its own in it.
            split: name of the part; each has other pictures.
            num_images: how many; if None 160 for 'train' and 40 for any other split.
            image_size: shortest and longest side in pixels, or one number for square images.
            seed: of the drawing.

        Raises:
            ValueError: if an argument is not what is allowed.
            DatasetError: if the folder cannot be written or holds something else.
        """
        check_reading_options("DrawnShapes", transforms, num_workers, shuffle)
        recipe = _recipe(split, num_images, image_size, seed)
        folder = Path(data_dir) / split
        _ensure_drawn(folder, recipe)
        super().__init__(
            folder,
            folder / _annotation_name(split),
            transforms=transforms,
            num_workers=num_workers,
            shuffle=shuffle,
        )


def _recipe(split: Any, num_images: Any, image_size: Any, seed: Any) -> dict[str, Any]:
    """All that decides how the set looks, checked."""
    if not isinstance(split, str) or not re.fullmatch(r"[\w-]+", split):
        raise ValueError(f"DrawnShapes: split must be a plain name, got {split!r}")
    if num_images is None:
        num_images = _IMAGES_OF_SPLIT.get(split, _IMAGES_OF_OTHERS)
    sides = [image_size] * 2 if isinstance(image_size, int) else list(image_size)
    if not _is_int(num_images, 1):
        raise ValueError(f"DrawnShapes: num_images must be an integer >= 1, got {num_images!r}")
    if not _is_int(seed, 0):
        raise ValueError(f"DrawnShapes: seed must be an integer >= 0, got {seed!r}")
    if len(sides) != 2 or not all(_is_int(s, _SMALLEST) for s in sides) or sides[0] > sides[1]:
        raise ValueError(
            f"DrawnShapes: image_size must be an integer >= {_SMALLEST}, or [shortest, longest] "
            f"side of such, got {image_size!r}"
        )
    return {
        "version": _VERSION,
        "split": split,
        "num_images": num_images,
        "image_size": sides,
        "seed": seed,
    }


def _is_int(value: Any, at_least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


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
        _put_in_place(fresh, folder, recipe)
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


def _put_in_place(fresh: Path, folder: Path, recipe: dict[str, Any]) -> None:
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
