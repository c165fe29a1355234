"""Our reading of COCOeval's arrays against its own summary, and the cases it has no number for."""

import contextlib
import io
from math import isnan

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex_maskrcnn.engine.coco_metrics import average_precision

SIZE = 200


def box_mask(x, y, w, h) -> np.ndarray:
    bits = np.zeros((SIZE, SIZE), dtype=np.uint8)
    bits[int(y) : int(y + h), int(x) : int(x + w)] = 1
    return bits


def rle(box) -> dict:
    encoded = coco_mask.encode(np.asfortranarray(box_mask(*box)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def truth(boxes_by_image: dict[int, list], num_classes: int = 2) -> COCO:
    coco = COCO()
    annotations = [
        {"image_id": i, "bbox": list(box), "category_id": 10 * label, "area": box[2] * box[3],
         "iscrowd": 0, "segmentation": rle(box)}
        for i, objects in boxes_by_image.items() for label, box in objects
    ]  # fmt: skip
    coco.dataset = {
        "images": [{"id": i, "height": SIZE, "width": SIZE} for i in boxes_by_image],
        "categories": [{"id": 10 * k, "name": f"class {k}"} for k in range(1, num_classes + 1)],
        "annotations": [one | {"id": n} for n, one in enumerate(annotations, 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def result(image_id, label, box, score) -> dict:
    return {
        "image_id": image_id, "category_id": 10 * label, "bbox": [float(v) for v in box],
        "segmentation": rle(box), "score": score,
    }  # fmt: skip


@pytest.fixture
def scene():
    random = np.random.default_rng(0)
    objects, results = {}, []
    for image_id in range(1, 9):
        objects[image_id] = []
        for _ in range(5):
            x, y = random.integers(0, 90, 2)
            w, h = random.integers(10, 110, 2)
            label = int(random.integers(1, 3))
            objects[image_id].append((label, (x, y, w, h)))
            dx, dy = random.integers(-6, 7, 2)
            moved = (max(0, x + dx), max(0, y + dy), w, h)
            results.append(result(image_id, label, moved, float(random.random())))
    return truth(objects), results


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_equals_pycocotools_own_summary(scene, kind):
    coco, results = scene
    ours = average_precision(coco, results, kind, max_detections=100)
    with contextlib.redirect_stdout(io.StringIO()):
        only = [
            {k: v for k, v in r.items() if k != ("bbox" if kind == "segm" else "")} for r in results
        ]
        evaluation = COCOeval(coco, coco.loadRes(only), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = evaluation.stats
    numbers = [ours.ap, ours.ap50, ours.ap75, *ours.by_area.values()]
    found = [-1 if isnan(one) else one for one in numbers]
    assert found == pytest.approx(list(stats[:6]))
    assert ours.recall == pytest.approx(stats[8])
    assert 0.1 < ours.ap < 0.9
    assert np.mean(list(ours.by_class.values())) == pytest.approx(ours.ap)


def test_perfect_and_absent_classes():
    box = (10, 10, 50, 60)
    found = average_precision(truth({1: [(1, box)]}), [result(1, 1, box, 0.9)], "segm", 100)
    assert found.ap == pytest.approx(1)
    assert found.by_class["class 1"] == pytest.approx(1)
    assert isnan(found.by_class["class 2"]), "nothing annotated, so no number"
    assert isnan(found.by_area["small"])


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_no_detection_at_all_is_zero(kind):
    found = average_precision(truth({1: [(1, (10, 10, 50, 60))]}), [], kind, 100)
    assert (found.ap, found.ap50, found.recall) == (0, 0, 0)


def test_nothing_annotated_is_undefined():
    assert isnan(average_precision(truth({1: []}), [], "bbox", 100).ap)


def test_more_than_a_hundred_objects_an_image_can_be_found():
    """pycocotools' own summary stops counting at 100."""
    boxes = [(x * 10, y * 10, 8, 8) for x in range(15) for y in range(10)]
    coco = truth({1: [(1, box) for box in boxes]})
    results = [result(1, 1, box, 0.9) for box in boxes]
    assert average_precision(coco, results, "bbox", max_detections=150).recall == 1
    assert average_precision(coco, results, "bbox", max_detections=100).recall == pytest.approx(
        2 / 3
    )
