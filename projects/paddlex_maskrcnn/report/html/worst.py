"""The images that went worst, as pictures inside the page: truth beside prediction, mistakes named."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ...metrics.analysis import Analysis
from ...metrics.scores import ImageScore
from ..pictures import draw_objects

logger = logging.getLogger(__name__)

_LONG_SIDE, _LARGEST_SCALE = 480, 4.0  # labels stay readable on a phone
_QUALITY = 82

ReadImage = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class WorstImage:
    """One image of the page.

    Attributes:
        name: its file.
        truth, prediction: pictures as data URIs.
        score: its numbers.
    """

    name: str
    truth: str
    prediction: str
    score: ImageScore


def worst_images(analysis: Analysis, read: ReadImage, count: int) -> list[WorstImage]:
    """The worst first; images without a mistake, and those that cannot be read, are left out.

    Args:
        read: image id -> (H, W, 3) BGR.
        count: at most this many.
    """
    found: list[WorstImage] = []
    for score in analysis.images:
        if len(found) == count or not score.mistakes:
            break
        try:
            image = read(score.image_id)
        except (OSError, ValueError) as error:
            logger.warning("No picture of image %d: %s", score.image_id, error)
            continue
        found.append(_picture(analysis, score, image))
    return found


def _picture(analysis: Analysis, score: ImageScore, image: np.ndarray) -> WorstImage:
    truth = analysis.truth
    place = int(truth.image_indices([score.image_id], "an image")[0])
    scale = min(_LONG_SIDE / max(image.shape[:2]), _LARGEST_SCALE)
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(image, size, interpolation=smooth)
    missed, false = set(score.missed_objects), set(score.false_rows)
    annotated = [
        _object(analysis, int(truth.classes[i]), truth.boxes[i], truth.masks[i], size, scale,
                "missed " if i in missed else "", None)
        for i in np.flatnonzero((truth.images == place) & ~truth.crowd).tolist()
    ]  # fmt: skip
    results = analysis.overlaps.results
    detected = [
        _object(analysis, int(truth.category_indices([row["category_id"]], "a result")[0]),
                np.array(row["bbox"]), row.get("segmentation"), size, scale,
                "false " if i in false else "", row["score"])
        for i, row in ((i, results[i]) for i in score.rows)
    ]  # fmt: skip
    return WorstImage(
        name=PurePath(truth.file_names[place]).name,
        truth=_data_uri(draw_objects(pixels, annotated)),
        prediction=_data_uri(draw_objects(pixels, detected)),
        score=score,
    )


def _object(
    analysis: Analysis,
    label: int,
    box: np.ndarray,
    mask: dict[str, Any] | None,
    size: tuple[int, int],
    scale: float,
    mistake: str,
    score: float | None,
) -> dict[str, Any]:
    """An object as pictures take it, at the size of the picture."""
    found = {
        "bbox": (box * scale).tolist(),
        "category": mistake + analysis.truth.names[label],
        "category_id": label + 1,
        "score": score,
    }
    if mask is not None:
        whole = coco_mask.decode(mask)
        found["mask"] = cv2.resize(whole, size, interpolation=cv2.INTER_NEAREST)
    return found


def _data_uri(picture: np.ndarray) -> str:
    encoded, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert encoded
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
