"""Time of our COCO evaluation as a ratio to pycocotools, taken in turn in one run.

    python benchmarks/coco_eval.py [--images 2000] [--objects 20] [--detections 40] [--classes 20]

Drawn annotations and results on images of 640x480: twelve-cornered masks, some found well, some
badly, some twice, some as another class, and detections of nothing. Ours is all of an evaluation, with
precision, recall and F1 at the best scores; `report` also has what only the analysis needs (kinds of
error, confusion, calibration, images). CPU seconds of all threads, since waiting for a busy machine is
nobody's speed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from side_by_side.arguments import positive

from paddlex_maskrcnn.metrics.analysis import analyse
from paddlex_maskrcnn.metrics.evaluation import compare
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth

REFERENCE = "pycocotools"
HEIGHT, WIDTH = 480, 640
CORNERS = np.linspace(0, 2 * np.pi, 12, endpoint=False)
UNIT = np.stack([np.cos(CORNERS), np.sin(CORNERS)], axis=1)


def draw_data(
    images: int, objects: int, detections: int, classes: int
) -> tuple[dict[str, Any], ResultRows]:
    """A COCO dict and results, the same in every run."""
    random = np.random.default_rng(0)
    truth: dict[str, Any] = {
        "images": [{"id": i + 1, "height": HEIGHT, "width": WIDTH} for i in range(images)],
        "categories": [{"id": k + 1, "name": f"class {k + 1}"} for k in range(classes)],
        "annotations": [],
    }
    rows = ResultRows()
    for image in range(1, images + 1):
        sizes = np.exp(random.uniform(np.log(10), np.log(200), (objects, 2)))
        centres = random.uniform([0, 0], [WIDTH, HEIGHT], (objects, 2))
        labels = random.integers(1, classes + 1, objects)
        for centre, size, label in zip(centres, sizes, labels, strict=True):
            mask = polygon(centre, size)
            area, box = float(coco_mask.area(mask)), coco_mask.toBbox(mask).tolist()
            truth["annotations"].append(
                {"id": len(truth["annotations"]) + 1, "image_id": image, "category_id": int(label),
                 "iscrowd": int(random.random() < 0.02), "bbox": box, "area": area,
                 "segmentation": mask}
            )  # fmt: skip
        for n in random.integers(0, objects, detections):
            far = random.choice([0.03, 0.1, 0.3, 3.0], p=[0.4, 0.3, 0.2, 0.1])
            centre = centres[n] + random.normal(0, far, 2) * sizes[n]
            label = labels[n] if random.random() < 0.9 else random.integers(1, classes + 1)
            mask = polygon(np.clip(centre, 0, [WIDTH, HEIGHT]), sizes[n])
            rows.append(
                {"image_id": image, "category_id": int(label), "segmentation": mask,
                 "score": float(random.random())}
            )  # fmt: skip
    return truth, rows


def polygon(centre: np.ndarray, size: np.ndarray) -> dict[str, Any]:
    points = np.clip(centre + UNIT * size / 2, 0, [WIDTH, HEIGHT]).reshape(1, -1).tolist()
    return coco_mask.merge(coco_mask.frPyObjects(points, HEIGHT, WIDTH))


def medians(work: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Seconds of each, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, run in work.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=positive, default=500, help="%(default)s")
    parser.add_argument(
        "--objects", type=positive, default=20, help="annotated, an image; %(default)s"
    )
    parser.add_argument("--detections", type=positive, default=40, help="an image; %(default)s")
    parser.add_argument("--classes", type=positive, default=20, help="%(default)s")
    parser.add_argument("--repeats", type=positive, default=3, help="%(default)s")
    args = parser.parse_args()
    data, rows = draw_data(args.images, args.objects, args.detections, args.classes)
    truth = Truth(data)
    truth.masks, truth.areas  # noqa: B018  (read once, before the clock starts)
    print(f"Python {sys.version.split()[0]}, {len(truth.classes)} objects, {len(rows)} detections,")
    print(
        f"{args.classes} classes; medians of {args.repeats} in CPU seconds, and {REFERENCE} / this"
    )
    total: dict[str, float] = {}
    for kind in ("bbox", "segm"):
        times = medians(
            {
                "evaluation": lambda kind=kind: compare(truth, rows, kind),
                "with report": lambda kind=kind: analyse(compare(truth, rows, kind)),
                REFERENCE: lambda kind=kind: by_pycocotools(data, rows, kind),
            },
            args.repeats,
        )
        total = {name: total.get(name, 0.0) + times[name] for name in times}
        show(kind, times)
    show("both", total)


def by_pycocotools(truth: dict[str, Any], rows: ResultRows, kind: str) -> None:
    """The reference; it writes into the annotations, which are copied therefore."""
    with contextlib.redirect_stdout(io.StringIO()):  # its progress texts
        annotated = COCO()
        annotated.dataset = truth | {"annotations": [dict(row) for row in truth["annotations"]]}
        annotated.createIndex()
        evaluation = COCOeval(annotated, annotated.loadRes(rows.of_kind(kind)), kind)
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()


def show(title: str, times: dict[str, float]) -> None:
    parts = [f"{name} {time:.2f} ({times[REFERENCE] / time:.1f}x)" for name, time in times.items()]
    print(f"{title:6s}", ", ".join(parts), flush=True)


if __name__ == "__main__":
    main()
