"""Time of our COCO evaluation as a ratio to pycocotools, taken in turn in one run.

    python benchmarks/coco_eval.py [--images 2000] [--objects 20] [--detections 40] [--classes 20]

Drawn annotations and results on images of 640x480: twelve-cornered masks, some found well, some
badly, some twice, some as another class, and detections of nothing. Ours also has precision, recall
and F1 at the best scores; `with report` has the kinds of error, confusion, calibration and images of the
analysis as well. CPU seconds of all threads, since waiting for a busy
machine is nobody's speed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from side_by_side.rounds import Spread, ratios, take_turns
from side_by_side.settings import positive

from paddlex_maskrcnn.metrics.analysis import analyse
from paddlex_maskrcnn.metrics.evaluation import compare
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth

REFERENCE = "pycocotools"
KINDS = ("bbox", "segm")
HEIGHT, WIDTH = 480, 640
CORNERS = np.linspace(0, 2 * np.pi, 12, endpoint=False)
UNIT = np.stack([np.cos(CORNERS), np.sin(CORNERS)], axis=1)


def evaluate(data: dict[str, Any], rows: ResultRows, kinds: Sequence[str] = KINDS) -> list[float]:
    """AP, AP50 and AP75 of each kind by this package, from a COCO dict and results."""
    truth = Truth(data)
    numbers = [compare(truth, rows, kind).average_precision for kind in kinds]
    return [value for of_kind in numbers for value in (of_kind.ap, of_kind.ap50, of_kind.ap75)]


def report(data: dict[str, Any], rows: ResultRows, kinds: Sequence[str] = KINDS) -> None:
    """Evaluation with what only the analysis needs."""
    truth = Truth(data)
    for kind in kinds:
        analyse(compare(truth, rows, kind))


def reference(
    data: dict[str, Any], rows: Sequence[dict[str, Any]], kinds: Sequence[str] = KINDS
) -> list[float]:
    """The same numbers by pycocotools."""
    numbers: list[float] = []
    with contextlib.redirect_stdout(io.StringIO()):  # its progress texts
        truth = COCO()
        truth.dataset = data
        truth.createIndex()
        results = truth.loadRes(list(rows))
        for kind in kinds:
            judge = COCOeval(truth, results, kind)
            judge.evaluate()
            judge.accumulate()
            judge.summarize()
            numbers += judge.stats[:3].tolist()
    return numbers


def draw_data(
    images: int, objects: int, detections: int, classes: int
) -> tuple[dict[str, Any], ResultRows]:
    """A COCO dict and results, the same in every run; objects and detections are per image."""
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
    """Run lengths of a twelve-cornered shape, clipped to the image."""
    points = np.clip(centre + UNIT * size / 2, 0, [WIDTH, HEIGHT]).reshape(1, -1).tolist()
    return coco_mask.merge(coco_mask.frPyObjects(points, HEIGHT, WIDTH))


def main(arguments: Sequence[str] | None = None) -> int:
    """Time both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=positive, default=500, help="%(default)s")
    parser.add_argument("--objects", type=positive, default=20, help="an image; %(default)s")
    parser.add_argument("--detections", type=positive, default=40, help="an image; %(default)s")
    parser.add_argument("--classes", type=positive, default=20, help="%(default)s")
    parser.add_argument("--repeats", type=positive, default=3, help="%(default)s")
    args = parser.parse_args(arguments)
    data, rows = draw_data(args.images, args.objects, args.detections, args.classes)
    plain = [dict(row) for row in rows]  # the form that the reference reads, made off the clock
    print(f"{args.images} images, {len(rows)} detections, {args.classes} classes; CPU seconds,")
    print(f"and how many times as fast as {REFERENCE}")
    for kinds in (["bbox"], ["segm"], list(KINDS)):
        work = {
            "evaluation": lambda kinds=kinds: evaluate(data, rows, kinds),
            "with report": lambda kinds=kinds: report(data, rows, kinds),
            REFERENCE: lambda kinds=kinds: reference(data, plain, kinds),
        }
        seconds = take_turns(work, args.repeats, clock="cpu")
        medians = [Spread.of(values).median for values in seconds.values()]
        shown = [
            f"{name} {median:.2f} s ({Spread.of(ratios(seconds[REFERENCE], values)).median:.1f}x)"
            for (name, values), median in zip(seconds.items(), medians, strict=True)
        ]
        print(f"{' and '.join(kinds):14s}", ", ".join(shown), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
