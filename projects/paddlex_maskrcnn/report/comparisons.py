"""Pictures of held-out images: the annotated objects beside the predicted ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from ..data.datasets.base import DetectionDataset
from ..data.images import read_image
from .pictures import comparison

Objects = list[dict[str, Any]]


def write_comparisons(
    predict: Callable[[str], Objects],
    dataset: DetectionDataset,
    folder: Path,
    count: int,
    threshold: float,
) -> list[Path]:
    """Write one PNG for each of the data set's first images that hold objects.

    Args:
        predict: image file -> objects in the documented form.
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
        predictions = [one for one in predict(file_name) if one["score"] >= threshold]
        image = read_image(file_name, "BGR", size=(record["height"], record["width"]))
        picture = comparison(image, truth_of(dataset, record["image_id"]), predictions)
        path = folder / f"{Path(file_name).stem}.png"
        cv2.imwrite(str(path), picture)
        written.append(path)
    return written


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
