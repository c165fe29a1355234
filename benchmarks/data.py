"""Images per second that one loader process prepares, against Detectron2's DatasetMapper.

    python benchmarks/data.py [--images 12] [--rounds 5] [--only 640x480]

JPEG files with the spectrum of photographs and COCO's seven objects an image (polygons; in another
row RLE) are drawn into a temporary folder. Both sides mirror half of the images, resize the short
side to 800 (long side at most 1333) and pack the targets. They take turns image by image in one
process with one thread, as a loader process has it; times are medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import numpy as np
import pycocotools.mask as mask_util
import torch
from detectron2.data import DatasetMapper
from detectron2.data import transforms as d2
from side_by_side.arguments import positive

from paddlex_maskrcnn.data.mapper import TrainMapper
from paddlex_maskrcnn.data.transforms import ComposedRCNNTransforms

SIZES = {"640x480": (480, 640), "1600x1200": (1200, 1600), "4000x3000": (3000, 4000)}
OBJECTS, CORNERS = 7, 24
QUALITY = 92


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=positive, default=12, help="files of each size")
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--only", choices=list(SIZES), help="one size")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    print(f"torch {torch.__version__}, OpenCV {cv2.__version__}, one process, one thread")
    print(
        f"{'size':10} {'masks':8} {'Detectron2':>12} {'ours':>8} {'in full':>8}   images a second"
    )
    for name in [args.only] if args.only else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            records = draw(Path(folder), SIZES[name], args.images)
            for form in ("polygon", "rle"):
                compare(name, form, in_form(records, form), args.rounds)


def compare(name: str, form: str, records: list[dict[str, Any]], rounds: int) -> None:
    """Print one row."""
    readers = mappers(form)
    seconds: dict[str, list[float]] = {reader: [] for reader in readers}
    order = np.random.default_rng(0)
    for index, record in enumerate(records * (rounds + 1)):
        for reader in order.permutation(list(readers)):
            read = readers[reader]
            start = time.perf_counter()
            read(record, index)
            if index >= len(records):  # the first round warms up
                seconds[reader].append(time.perf_counter() - start)
    rate = {reader: 1 / statistics.median(times) for reader, times in seconds.items()}
    theirs = rate["detectron2"]
    print(
        f"{name:10} {form:8} {theirs:12.1f} {rate['ours']:8.1f} {rate['in full']:8.1f}   "
        f"{rate['ours'] / theirs:.2f}x, read in full {rate['in full'] / theirs:.2f}x",
        flush=True,
    )


def mappers(form: str) -> dict[str, Callable[[dict[str, Any], int], Any]]:
    """What turns a record into a sample: Detectron2's with the same augmentation, and ours."""
    theirs = DatasetMapper(
        is_train=True,
        augmentations=[d2.RandomFlip(), d2.ResizeShortestEdge(800, 1333)],
        image_format="BGR",
        use_instance_mask=True,
        instance_mask_format="polygon" if form == "polygon" else "bitmask",
    )
    recipe = ComposedRCNNTransforms("train")
    ours = TrainMapper(recipe, "BGR", 3, 0)
    in_full = TrainMapper(recipe, "BGR", 3, 0, reads_reduced=False)
    return {
        "detectron2": lambda record, index: theirs(record),
        "ours": lambda record, index: ours(record, 0, index),
        "in full": lambda record, index: in_full(record, 0, index),
    }


def draw(
    folder: Path, size: tuple[int, int], count: int, objects: int = OBJECTS
) -> list[dict[str, Any]]:
    """Write the files; records with polygons, so many objects each."""
    rng = np.random.default_rng(0)
    records = []
    for k in range(count):
        path = folder / f"{k}.jpg"
        cv2.imwrite(str(path), photograph(size, rng), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
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


def in_form(records: list[dict[str, Any]], form: str) -> list[dict[str, Any]]:
    """The records with masks as polygons or as RLE."""
    if form == "polygon":
        return records
    return [{**one, "annotations": [as_rle(a, one) for a in one["annotations"]]} for one in records]


def as_rle(annotation: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    size = record["height"], record["width"]
    mask = mask_util.merge(mask_util.frPyObjects(annotation["segmentation"], *size))
    return {**annotation, "segmentation": mask}


if __name__ == "__main__":
    main()
