"""The images of all parts: drawn, with COCO's seven objects each, as files and as a COCO json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data import OBJECTS, draw
from paddlex_maskrcnn.data.datasets import CocoDetection
from paddlex_maskrcnn.data.transforms import Compose


@dataclass(frozen=True)
class Pictures:
    """A drawn data set.

    Attributes:
        folder: of the JPEG files.
        ann_file: the json.
        records: the same in Detectron2's form.
    """

    folder: Path
    ann_file: Path
    records: list[dict[str, Any]]

    def dataset(self, transforms: Compose) -> CocoDetection:
        """As ours, read in the training process."""
        return CocoDetection(self.folder, self.ann_file, transforms, num_workers=0)

    def arrays(self) -> list[np.ndarray]:
        """(H, W, 3) BGR pixels."""
        return [np.asarray(cv2.imread(record["file_name"])) for record in self.records]


def draw_pictures(
    folder: Path,
    count: int,
    size: tuple[int, int] = (480, 640),
    num_classes: int = 80,
    objects: int = OBJECTS,
) -> Pictures:
    """Draw `count` images of (height, width) pixels with so many objects each into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    records = draw(folder, size, count, objects)
    for record in records:
        for one in record["annotations"]:
            one["category_id"] %= num_classes
    ann_file = folder / "instances.json"
    ann_file.write_text(json.dumps(_as_coco(records, num_classes)), encoding="utf-8")
    return Pictures(folder, ann_file, records)


def _as_coco(records: list[dict[str, Any]], num_classes: int) -> dict[str, Any]:
    images = [
        {"id": one["image_id"], "file_name": Path(one["file_name"]).name, "height": one["height"],
         "width": one["width"]}
        for one in records
    ]  # fmt: skip
    objects = [
        {**obj, "image_id": one["image_id"]} for one in records for obj in one["annotations"]
    ]
    annotations = [
        {**_coco_box(one), "id": number, "category_id": one["category_id"] + 1}
        for number, one in enumerate(objects, 1)
    ]
    categories = [{"id": k, "name": f"class {k}"} for k in range(1, num_classes + 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _coco_box(annotation: dict[str, Any]) -> dict[str, Any]:
    """Detectron2's XYWH record as COCO has it."""
    form = {key: value for key, value in annotation.items() if key != "bbox_mode"}
    return {**form, "area": float(form["bbox"][2] * form["bbox"][3])}
