"""One point of one axis, measured in a process of its own so that its peak memory is its own."""

from __future__ import annotations

import gc
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from side_by_side.memory_use import forget_peak, peak_mib, resident_mib
from side_by_side.rounds import timed

from .axes import EVALUATE, OPEN, Axis, Point

_REPEATS = {"image": 3, "objects": 3, "classes": 3, "proposals": 3, "annotations": 1}
_SIDE, _REGIONS = 320, 128  # pixels; regions of the second stage, fewer than usual, to be quick
_PER_IMAGE = 7  # annotations; COCO's mean
_MOST_LINKS = 50_000  # file systems allow some 65 000 to a file


def measure(axis: Axis, value: int, quick: bool = False) -> Point:
    """Seconds and memory at this value, everything else as usual."""
    with tempfile.TemporaryDirectory() as folder:
        work = prepare(axis, value, Path(folder), quick)
        gc.collect()
        before = resident_mib()
        forget_peak()
        repeats = 1 if quick else _REPEATS.get(axis.name, 2)
        if axis.work != OPEN and not quick:
            work()
        seconds = [timed(work, "cpu") for _ in range(repeats)]
        peak = peak_mib()
    return Point(value, statistics.median(seconds), max(peak - before, 1.0))


def prepare(axis: Axis, value: int, folder: Path, quick: bool = False) -> Callable[[], Any]:
    """What is timed; all that belongs to the surroundings is made here."""
    if axis.work == OPEN:
        return _opening(folder, value)
    if axis.work == EVALUATE:
        return _evaluation(axis, value)
    return _step(axis, value, folder, quick)


def _step(axis: Axis, value: int, folder: Path, quick: bool) -> Callable[[], Any]:
    import torch
    from side_by_side import training
    from side_by_side.pictures import draw_pictures
    from side_by_side.settings import Settings, Variant
    from side_by_side.weights import write_weights

    given = {axis.name: value}
    side = round(given.get("image", 64**2 if quick else _SIDE**2) ** 0.5)
    classes, proposals = given.get("classes", 80), given.get("proposals", 1000)
    regions = 16 if quick else _REGIONS
    settings = Settings(size=side, batch_size=1, regions=regions, threads=torch.get_num_threads())
    pictures = draw_pictures(folder / "images", 1, (side, side), classes, given.get("objects", 7))
    weights = write_weights(folder, classes)
    rows = {"train_pre_nms_top_n": proposals, "train_post_nms_top_n": proposals}
    variant = Variant("", model=rows)
    batches = training.read_batches(pictures, weights, settings)
    return training.ours(weights.ours, batches, pictures, settings, variant).step


def _opening(folder: Path, annotations: int) -> Callable[[], Any]:
    from paddlex_maskrcnn.data.datasets import CocoDetection

    write_coco(folder, annotations)
    return lambda: CocoDetection(folder / "images", folder / "instances.json", num_workers=0)


def _evaluation(axis: Axis, value: int) -> Callable[[], Any]:
    from coco_eval import draw_data

    from paddlex_maskrcnn.metrics.evaluation import compare
    from paddlex_maskrcnn.metrics.truth import Truth

    if axis.name == "crowding":
        data, rows = draw_data(100, max(1, value // 2), value, 20)
    else:
        data, rows = draw_data(max(1, value // 40), 20, 40, 20)

    def evaluate() -> None:
        truth = Truth(data)
        for kind in ("bbox", "segm"):
            compare(truth, rows, kind)

    return evaluate


def write_coco(folder: Path, annotations: int) -> None:
    """A COCO set of octagons, written line by line; its pictures are hard links to one file."""
    images = max(1, annotations // _PER_IMAGE)
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
        file.write(",\n".join(_annotations(annotations, images)))
        file.write("]}")


def _annotations(count: int, images: int) -> Iterator[str]:
    random = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
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
    picture = Image.new("RGB", (640, 480))
    for k in range(images):
        source = folder / f"{k // _MOST_LINKS}.jpg"
        if not source.exists():
            picture.save(source)
        os.link(source, folder / "images" / f"{k}.jpg")
