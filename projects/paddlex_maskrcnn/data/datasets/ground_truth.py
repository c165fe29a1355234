"""Ground truth for pycocotools, built in memory from the records that are in use.

Written from the records instead of read from the file again, so that what is evaluated is what was
kept: skipped annotations, added negative images and `set_num_samples` all show here.
"""

import contextlib
import io
from collections.abc import Iterable
from typing import Any

from pycocotools.coco import COCO

from .records import Record


def build_coco(records: Iterable[Record], categories: list[dict[str, Any]]) -> COCO:
    """Index the records as a pycocotools COCO object, with the file's own ids, silently."""
    category_ids = [category["id"] for category in categories]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for record in records:
        images.append({key: record[key] for key in ("file_name", "height", "width")})
        images[-1]["id"] = record["image_id"]
        annotations += [
            _annotation(annotation, record["image_id"], category_ids)
            for annotation in record["annotations"]
        ]
    coco = COCO()
    coco.dataset = {
        "info": {},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [dict(category) for category in categories],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
    return coco


def _annotation(
    annotation: dict[str, Any], image_id: int, category_ids: list[int]
) -> dict[str, Any]:
    # A new dict each: pycocotools writes into it while evaluating. Objects that are to be ignored
    # (VOC's difficult ones) go as crowd: the only way it has of counting neither for nor against.
    found = {
        "id": annotation["id"],
        "image_id": image_id,
        "category_id": category_ids[annotation["category_id"]],
        "bbox": list(annotation["bbox"]),
        "area": annotation["area"],
        "iscrowd": int(annotation["iscrowd"] or annotation.get("ignore", 0)),
        "segmentation": annotation["segmentation"],
    }
    return {**found, "difficult": 1} if annotation.get("ignore") else found
