"""COCO instance json."""

import json
import os
from collections.abc import Mapping
from typing import Any

from ..datasets.base import DetectionDataset


def coco_json(dataset: DetectionDataset, names: Mapping[int, str]) -> str:
    """The json of a data set: its ids, classes, boxes and masks as they are.

    Args:
        names: image id -> file_name.
    """
    ids = dataset.category_ids
    images, annotations = [], []
    for record in dataset.records:
        images.append(
            {
                "id": record["image_id"],
                "file_name": names[record["image_id"]],
                "height": record["height"],
                "width": record["width"],
            }
        )
        annotations += [_annotation(one, record["image_id"], ids) for one in record["annotations"]]
    content = {
        "info": {"description": f"converted from {dataset.name}"},
        "images": images,
        "annotations": annotations,
        "categories": dataset.categories,
    }
    return json.dumps(content, ensure_ascii=False)


def common_folder(dataset: DetectionDataset) -> str:
    """The folder that has all pictures of a data set in it."""
    return os.path.commonpath([os.path.dirname(one["file_name"]) for one in dataset.records])


def _annotation(one: dict[str, Any], image_id: int, ids: list[int]) -> dict[str, Any]:
    annotation = {
        "id": one["id"],
        "image_id": image_id,
        "category_id": ids[one["category_id"]],
        "bbox": one["bbox"],
        "area": one["area"],
        "iscrowd": one["iscrowd"],
        "segmentation": one["segmentation"],
    }
    return {**annotation, "ignore": 1} if one.get("ignore") else annotation
