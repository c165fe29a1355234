"""Drawn data: photographs with objects as files and COCO json, and large COCO sets of one picture.

Photographs here are noise with the spectrum of photographs, since the time of reading a JPEG depends
on it; each has COCO's mean of seven objects.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddlex_maskrcnn.data.datasets import CocoDetection
from paddlex_maskrcnn.data.transforms import Compose

OBJECTS, CORNERS = 7, 24
_QUALITY = 92  # of JPEG, as cameras write it
_MOST_LINKS = 50_000  # file systems allow some 65 000 to a file


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
        for annotation in record["annotations"]:
            annotation["category_id"] %= num_classes
    ann_file = folder / "instances.json"
    ann_file.write_text(json.dumps(_as_coco(records, num_classes)), encoding="utf-8")
    return Pictures(folder, ann_file, records)


def _as_coco(records: list[dict[str, Any]], num_classes: int) -> dict[str, Any]:
    images = [
        {"id": record["image_id"], "file_name": Path(record["file_name"]).name, "height": record["height"],
         "width": record["width"]}
        for record in records
    ]  # fmt: skip
    objects = [
        {**obj, "image_id": record["image_id"]}
        for record in records
        for obj in record["annotations"]
    ]
    annotations = [
        {**_coco_box(annotation), "id": number, "category_id": annotation["category_id"] + 1}
        for number, annotation in enumerate(objects, 1)
    ]
    categories = [{"id": k, "name": f"class {k}"} for k in range(1, num_classes + 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _coco_box(annotation: dict[str, Any]) -> dict[str, Any]:
    """Detectron2's XYWH record as COCO has it."""
    form = {key: value for key, value in annotation.items() if key != "bbox_mode"}
    return {**form, "area": float(form["bbox"][2] * form["bbox"][3])}


def draw(
    folder: Path, size: tuple[int, int], count: int, objects: int = OBJECTS
) -> list[dict[str, Any]]:
    """Write the files; records with polygons, so many objects each."""
    rng = np.random.default_rng(0)
    records = []
    for k in range(count):
        path = folder / f"{k}.jpg"
        cv2.imwrite(str(path), photograph(size, rng), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        drawn = [blob(size, rng) for _ in range(objects)]
        records.append(
            {
                "file_name": str(path), "height": size[0], "width": size[1], "image_id": k,
                "annotations": drawn,
            }
        )  # fmt: skip
    return records


def photograph(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise whose amplitude falls with the frequency, as it does in photographs, plus grain."""
    height, width = size
    image = np.zeros((height, width, 3), np.float32)
    cells = 4
    while cells <= min(size):
        shape = (cells, cells * width // height, 3)
        layer = rng.standard_normal(shape, np.float32) * (90 / cells**0.5)
        image += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
        cells *= 2
    grain = 4 * rng.standard_normal(image.shape, np.float32)
    return np.clip(image + grain + 118, 0, 255).astype(np.uint8)


def blob(size: tuple[int, int], rng: np.random.Generator) -> dict[str, Any]:
    """A polygon of random size and place."""
    height, width = size
    radius = min(size) * rng.uniform(0.03, 0.3)
    angles = np.sort(rng.uniform(0, 2 * np.pi, CORNERS))
    reach = radius * rng.uniform(0.7, 1, CORNERS)
    points = rng.uniform(0, 1, 2) * (width, height)
    points = points + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.clip(points, 0, (width, height))
    low, high = points.min(axis=0), points.max(axis=0)
    return {
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "bbox_mode": 1,
        "iscrowd": 0,
        "category_id": int(rng.integers(80)),
        "segmentation": [points.ravel().tolist()],
    }


def write_coco(folder: Path, annotations: int, per_image: int = OBJECTS, corners: int = 8) -> None:
    """A COCO set of polygons, written line by line; its pictures are hard links to one file."""
    images = max(1, annotations // per_image)
    _link_pictures(folder, images)
    with (folder / "instances.json").open("w", encoding="ascii") as file:
        categories = [{"id": k, "name": f"class {k}"} for k in range(1, 81)]
        file.write('{"categories": ' + json.dumps(categories) + ', "images": [')
        file.write(
            ",".join(
                f'{{"id": {k}, "file_name": "{k}.jpg", "height": 480, "width": 640}}'
                for k in range(images)
            )
        )
        file.write('], "annotations": [')
        file.write(",\n".join(_annotations(annotations, images, corners)))
        file.write("]}")


def _annotations(count: int, images: int, corners: int) -> Iterator[str]:
    random = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    shapes = random.uniform(5, 90, (1000, 1, 2)) * circle + random.uniform(100, 380, (1000, 1, 2))
    forms = [_form(np.round(shape, 2)) for shape in shapes]
    for k in range(count):
        yield f'{{"id": {k + 1}, "image_id": {k % images}, "category_id": {k % 80 + 1}, {forms[k % 1000]}}}'


def _form(points: np.ndarray) -> str:
    low, size = points.min(axis=0), points.max(axis=0) - points.min(axis=0)
    box = json.dumps(np.round([*low, *size], 2).tolist())
    polygon = json.dumps(points.reshape(-1).tolist())
    area = round(float(0.7 * size.prod()), 2)
    return f'"iscrowd": 0, "area": {area}, "bbox": {box}, "segmentation": [{polygon}]'


def _link_pictures(folder: Path, images: int) -> None:
    (folder / "images").mkdir()
    picture = np.zeros((480, 640, 3), np.uint8)
    for k in range(images):
        source = folder / f"{k // _MOST_LINKS}.jpg"
        if not source.exists():
            cv2.imwrite(str(source), picture)
        os.link(source, folder / "images" / f"{k}.jpg")
