"""Ground truth for pycocotools, built in memory from the records that are in use.

Written from the records instead of read from the file again, so that what is evaluated is what was
kept: skipped annotations, added negative images and `set_num_samples` all show here.
"""

import contextlib
import io
from typing import Any

from pycocotools.coco import COCO


def build_coco(records: list[dict[str, Any]], categories: list[dict[str, Any]]) -> COCO:
    """Index the records as a pycocotools COCO object, with the file's own ids, silently."""
    category_ids = [category["id"] for category in categories]
    coco = COCO()
    coco.dataset = {
        "info": {},
        "licenses": [],
        "images": [_image(record) for record in records],
        "annotations": [
            _annotation(annotation, record["image_id"], category_ids)
            for record in records
            for annotation in record["annotations"]
        ],
        "categories": [dict(category) for category in categories],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
    return coco


def _image(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": record["image_id"],
        "file_name": record["file_name"],
        "height": record["height"],
        "width": record["width"],
    }


def _annotation(
    annotation: dict[str, Any], image_id: int, category_ids: list[int]
) -> dict[str, Any]:
    # A new dict each: pycocotools writes into it while evaluating.
    return {
        "id": annotation["id"],
        "image_id": image_id,
        "category_id": category_ids[annotation["category_id"]],
        "bbox": list(annotation["bbox"]),
        "area": annotation["area"],
        "iscrowd": annotation["iscrowd"],
        "segmentation": annotation["segmentation"],
    }
