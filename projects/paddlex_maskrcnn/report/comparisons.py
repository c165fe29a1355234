"""Pictures of held-out images: the annotated objects beside the predicted ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..data.datasets.base import DetectionDataset
from ..data.image_headers import read_header
from ..data.images import read_image
from ..data.transforms import Compose, Normalize
from .pictures import comparison
from .viewable import read_viewable

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
        found = predict(_as_annotated(record, dataset.transforms))
        predictions = [one for one in found if one["score"] >= threshold]
        image = read_viewable(file_name, (record["height"], record["width"]))
        picture = comparison(image, truth_of(dataset, record["image_id"]), predictions)
        path = folder / f"{Path(file_name).stem}.png"
        cv2.imwrite(str(path), picture)
        written.append(path)
    return written


def _as_annotated(record: dict[str, Any], transforms: Compose | None) -> str | np.ndarray:
    """The file; its stored pixels where annotations were made for those, not the upright ones."""
    file_name, size = record["file_name"], (record["height"], record["width"])
    if read_header(file_name).upright == size:
        return file_name
    normalize = (transforms and transforms.normalize) or Normalize()
    channels = len(normalize.mean)
    return read_image(file_name, "BGR", channels, size, normalize.exceeds_bytes)


def truth_of(dataset: DetectionDataset, image_id: int) -> Objects:
    """An image's annotations in the form of predictions, score 1; crowd regions left out."""
    coco, ids = dataset.coco_gt, dataset.category_ids
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image_id], iscrowd=False))
    return [
        {
            "bbox": one["bbox"],
            "mask": coco.annToMask(one),
            "category": dataset.labels[ids.index(one["category_id"])],
            "category_id": ids.index(one["category_id"]) + 1,
            "score": 1.0,
        }
        for one in annotations
    ]
