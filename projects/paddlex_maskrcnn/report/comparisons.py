"""Pictures of held-out images, the annotated objects beside the predicted ones: as files, and in a page."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ..data.datasets.base import DetectionDataset
from ..data.image_headers import read_header
from ..data.images import read_image
from ..data.transforms import Compose, Normalize
from ..metrics.analysis import Analysis
from ..metrics.scores import ImageScore
from .pictures import comparison, draw_objects, read_viewable

logger = logging.getLogger(__name__)

_LONG_SIDE, _LARGEST_SCALE = 480, 4.0  # labels stay readable on a phone
_QUALITY = 82

ReadImage = Callable[[int], np.ndarray]
Objects = list[dict[str, Any]]


def write_comparisons(
    predict: Callable[[str | np.ndarray], Objects],
    dataset: DetectionDataset,
    folder: Path,
    count: int,
    threshold: float,
) -> list[Path]:
    """Write one PNG for each of the data set's first images that hold objects.

    Args:
        predict: image file, or (H, W, C) array in BGR order -> objects in the documented form.
        dataset: held-out data.
        folder: created when there is something to write.
        count: at most this many pictures.
        threshold: score from which a prediction is drawn.

    Returns:
        The files written.
    """
    with_objects = [record for record in dataset.records if record["annotations"]][:count]
    written = []
    for record in with_objects:
        folder.mkdir(parents=True, exist_ok=True)
        file_name = record["file_name"]
        detected = predict(_as_annotated(record, dataset.transforms))
        predictions = [item for item in detected if item["score"] >= threshold]
        size = record["height"], record["width"]
        image = read_viewable(file_name, size, record.get("as_stored", False))
        picture = comparison(image, _truth_of(dataset, record["image_id"]), predictions)
        path = folder / f"{Path(file_name).stem}.png"
        cv2.imwrite(str(path), picture)
        written.append(path)
    return written


def _as_annotated(record: dict[str, Any], transforms: Compose | None) -> str | np.ndarray:
    """The file; its stored pixels where annotations were made for those, not the upright ones."""
    file_name, size = record["file_name"], (record["height"], record["width"])
    as_stored = record.get("as_stored", False)
    if read_header(file_name).upright == size and not as_stored:
        return file_name
    normalize = (transforms and transforms.normalize) or Normalize()
    channels = len(normalize.mean)
    return read_image(file_name, "BGR", channels, size, normalize.declares_range, as_stored)


def _truth_of(dataset: DetectionDataset, image_id: int) -> Objects:
    """An image's annotations in the form of predictions, score 1; crowd regions left out."""
    coco, ids = dataset.coco_gt, dataset.category_ids
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image_id], iscrowd=False))
    return [
        {
            "bbox": row["bbox"],
            "mask": coco.annToMask(row),
            "category": dataset.labels[ids.index(row["category_id"])],
            "category_id": ids.index(row["category_id"]) + 1,
            "score": 1.0,
        }
        for row in annotations
    ]


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
    pictures: list[WorstImage] = []
    for score in analysis.images:
        if len(pictures) == count or not score.mistakes:
            break
        try:
            image = read(score.image_id)
        except (OSError, ValueError) as error:
            logger.warning("No picture of image %d: %s", score.image_id, error)
            continue
        pictures.append(_picture(analysis, score, image))
    return pictures


def _picture(analysis: Analysis, score: ImageScore, image: np.ndarray) -> WorstImage:
    truth = analysis.truth
    index = int(truth.image_indices([score.image_id], "an image")[0])
    scale = min(_LONG_SIDE / max(image.shape[:2]), _LARGEST_SCALE)
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(image, size, interpolation=smooth)
    missed, false = set(score.missed_objects), set(score.false_rows)
    annotated = [
        _object(analysis, int(truth.classes[i]), truth.boxes[i], truth.masks[i], size, scale,
                "missed " if i in missed else "", None)
        for i in np.flatnonzero((truth.images == index) & ~truth.crowd).tolist()
    ]  # fmt: skip
    results = analysis.overlaps.results
    detected = [
        _object(analysis, int(truth.category_indices([row["category_id"]], "a result")[0]),
                np.array(row["bbox"]), row.get("segmentation"), size, scale,
                "false " if i in false else "", row["score"])
        for i, row in ((i, results[i]) for i in score.rows)
    ]  # fmt: skip
    return WorstImage(
        name=PurePath(truth.file_names[index]).name,
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
    item = {
        "bbox": (box * scale).tolist(),
        "category": mistake + analysis.truth.names[label],
        "category_id": label + 1,
        "score": score,
    }
    if mask is not None:
        whole = coco_mask.decode(mask)
        item["mask"] = cv2.resize(whole, size, interpolation=cv2.INTER_NEAREST)
    return item


def _data_uri(picture: np.ndarray) -> str:
    encoded, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert encoded
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
