"""Draws transforms.jpg: each operator on the same drawn picture, with masks and boxes.

python docs/pictures/draw_transforms.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from paddlex_maskrcnn.data.datasets import DrawnShapes
from paddlex_maskrcnn.data.mapper import TrainMapper
from paddlex_maskrcnn.data.transforms import (
    CLAHE,
    ColorJitter,
    Compose,
    CopyPaste,
    LargeScaleJitter,
    Normalize,
    Operator,
    RandomBlur,
    RandomCrop,
    RandomDistort,
    RandomExpand,
    RandomHorizontalFlip,
    RandomNoise,
    RandomRotate90,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
    ResizeByShort,
)
from paddlex_maskrcnn.report.pictures import draw_objects
from paddlex_maskrcnn.report.training_samples import as_pixels, contact_sheet, objects_of

SIZE, CELL, PICTURE = 256, 190, 5
OPERATORS: dict[str, list[Operator]] = {
    "as it is": [],
    "RandomHorizontalFlip": [RandomHorizontalFlip(1)],
    "RandomVerticalFlip": [RandomVerticalFlip(prob=1)],
    "RandomRotate90": [RandomRotate90(prob=1)],
    "RandomRotation": [RandomRotation(angle=[25, 25], prob=1)],
    "RandomCrop": [RandomCrop(scaling=[0.6, 0.8], allow_no_crop=False)],
    "RandomExpand": [RandomExpand(2, 1)],
    "Resize": [Resize([256, 150])],
    "ResizeByShort": [ResizeByShort(128)],
    "LargeScaleJitter": [LargeScaleJitter(target_size=SIZE, min_scale=0.4, max_scale=1.6)],
    "CopyPaste": [CopyPaste(prob=1)],
    "RandomDistort": [RandomDistort(1, 1, 0.5, 1, 0.5, 1, 90, 1)],
    "ColorJitter": [ColorJitter(hue=0.3, prob=1)],
    "CLAHE": [CLAHE(4.0)],
    "RandomBlur": [RandomBlur(prob=1, sigma=[4, 4])],
    "RandomNoise": [RandomNoise(prob=1, std=[0.15, 0.15])],
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = DrawnShapes(folder, "train", num_images=8, image_size=SIZE, num_workers=0)
        records, labels = dataset.records, dataset.labels
        tiles = []
        for seed, (name, operators) in enumerate(OPERATORS.items()):
            mapper = TrainMapper(Compose([*operators, Normalize()]), "BGR", 3, seed)
            sample = mapper(records[PICTURE], 0, PICTURE, records)
            pixels = as_pixels(sample["image"].numpy(), (0, 255))
            objects = [{**one, "category": ""} for one in objects_of(sample, labels)]
            tiles.append(tile(draw_objects(pixels, objects), name))
    path = Path(__file__).with_name("transforms.jpg")
    cv2.imwrite(str(path), contact_sheet(tiles), [cv2.IMWRITE_JPEG_QUALITY, 65])


def tile(picture: np.ndarray, name: str) -> np.ndarray:
    """The picture in a square with its name above."""
    scale = CELL / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cell = np.full((CELL + 22, CELL, 3), 255, np.uint8)
    cell[22 : 22 + small.shape[0], : small.shape[1]] = small[:CELL, :CELL]
    cv2.putText(cell, name, (2, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


if __name__ == "__main__":
    main()
