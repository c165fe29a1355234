"""Our reading of COCOeval's arrays against its own summary, and the cases it has no number for."""

import contextlib
import io
from math import isnan

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex_maskrcnn.metrics.average_precision import average_precision
from paddlex_maskrcnn.metrics.coco_backends import installed_backends
from paddlex_maskrcnn.metrics.tables import by_class, class_rows, summary, without_nan
from paddlex_maskrcnn.metrics.truth import Truth

BOX = [10, 10, 50, 60]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_equals_pycocotools_own_summary(scene, kind):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = Truth(scene.truth).as_coco(kind)
        truth.createIndex()
        dropped = "segmentation" if kind == "bbox" else "bbox"
        rows = [{k: v for k, v in r.items() if k != dropped} for r in scene.results]
        evaluation = COCOeval(truth, truth.loadRes(rows), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    found = average_precision(scene.truth, scene.results, kind)
    numbers = [found.ap, found.ap50, found.ap75, *found.by_area.values()]
    recalls = [found.recall, *found.recall_by_area.values()]
    defined = [-1 if isnan(one) else one for one in numbers + recalls]
    assert defined == pytest.approx([*evaluation.stats[:6], *evaluation.stats[8:]])
    assert 0.1 < found.ap < 0.9
    for values, whole in (
        (found.by_class, found.ap), (found.ap50_by_class, found.ap50),
        (found.ap75_by_class, found.ap75), (found.recall_by_class, found.recall),
    ):  # fmt: skip
        assert np.nanmean(list(values.values())) == pytest.approx(whole)
        assert isnan(values["class 11"]), "nothing annotated, so no number"


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_every_backend_gives_the_same_numbers(scene, kind):
    found = {
        backend: without_nan(
            vars(average_precision(scene.truth, scene.results, kind, 100, backend))
        )
        for backend in installed_backends()
    }
    expected = found.pop("pycocotools")
    expected_best = {k: vars(v) for k, v in expected.pop("best").items()}
    for numbers in found.values():
        best = {k: vars(v) for k, v in numbers.pop("best").items()}
        assert without_nan(best) == without_nan(expected_best)
        for name, value in numbers.items():
            assert value == pytest.approx(expected[name], abs=1e-12), name


def test_perfect_and_absent_classes(empty_scene):
    scene = empty_scene(category_ids=(1, 2))
    scene.annotate(1, 1, BOX)
    scene.detect(1, 1, BOX, 0.9)
    found = average_precision(scene.truth, scene.results, "segm")
    assert found.ap == pytest.approx(1)
    assert found.by_class["class 1"] == pytest.approx(1)
    assert isnan(found.by_class["class 2"]), "nothing annotated, so no number"
    assert isnan(found.by_area["small"])
    point = found.best["class 1"]
    assert (point.threshold, point.precision, point.recall, point.f1) == (0.9, 1, 1, 1)
    assert [found.mean_of_best(name) for name in ("precision", "recall", "f1")] == [1, 1, 1]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_no_detection_at_all_is_zero(empty_scene, kind):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    found = average_precision(scene.truth, [], kind)
    assert (found.ap, found.ap50, found.recall) == (0, 0, 0)
    assert found.mean_of_best("precision") == 0


def test_nothing_annotated_is_undefined(empty_scene):
    found = average_precision(empty_scene().truth, [], "bbox")
    assert isnan(found.ap)
    assert isnan(found.mean_of_best("f1"))


def test_more_than_a_hundred_objects_an_image_can_be_found(empty_scene):
    """pycocotools' own summary stops counting at 100."""
    scene = empty_scene()
    for n in range(150):
        box = [n % 15 * 11, n // 15 * 11, 10, 10]
        scene.annotate(1, 1, box)
        scene.detect(1, 1, box, 0.9)
    for limit, recall in ((150, 1), (100, 2 / 3), (30, 2 / 3)):
        found = average_precision(scene.truth, scene.results, "bbox", limit)
        assert found.recall == pytest.approx(recall)
        assert found.best["class 1"].recall == pytest.approx(recall)


def test_tables(scene):
    bbox, segm = (average_precision(scene.truth, scene.results, kind) for kind in ("bbox", "segm"))
    head, first, second = summary(bbox, segm).splitlines()
    assert head.split() == ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR", "P", "R", "F1"]
    assert first.split()[:2] == ["bbox", f"{100 * bbox.ap:.2f}"]
    assert second.split()[-1] == f"{100 * segm.mean_of_best('f1'):.2f}"
    lines = by_class(segm).splitlines()
    assert len(lines) == 5
    assert len({len(line) for line in lines}) == 1, "columns stand under each other"
    assert lines[3].split() == ["class", "11", "0", *"--------"]
    rows = class_rows(segm)
    assert [row["objects"] for row in rows] == Truth(scene.truth).num_objects.tolist()
    assert f"{rows[0]['threshold']:.3f}" == lines[1].split()[-1]


def test_without_nan():
    value = {"a": float("nan"), "b": [1.0, np.nan], "c": np.array([1, 2]), "d": "text"}
    assert without_nan(value) == {"a": None, "b": [1.0, None], "c": [1, 2], "d": "text"}
