"""Average precision against pycocotools' arrays and its own summary, and the cases without a number."""

import contextlib
import io
from math import isnan

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex_maskrcnn.metrics.average_precision import (
    AREAS,
    IOU_THRESHOLDS,
    class_rows,
    class_table,
    coco_arrays,
    match_all_sizes,
    summary,
)
from paddlex_maskrcnn.metrics.evaluation import compare
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth
from reference import coco_evaluation

BOX = [10, 10, 50, 60]
KINDS = pytest.mark.parametrize("kind", ["bbox", "segm"])
NAMES = ("precision", "recall", "scores")


def arrays_of(overlaps):
    return coco_arrays(overlaps, match_all_sizes(overlaps))


def arrays(truth, rows, kind, limit=100):
    return arrays_of(find_overlaps(truth, rows, kind, limit, own_class_first=True))


def of_scene(scene, kind, limit=100):
    return arrays(Truth(scene.truth), ResultRows(scene.results), kind, limit)


def numbers_of(scene, kind, limit=100):
    return compare(scene.truth, scene.results, kind, limit).average_precision


def by_hand(scene, kind, limit=100):
    """pycocotools as its own documentation uses it, annotation ids from 1."""
    truth = COCO()
    rows = [one | {"id": n} for n, one in enumerate(scene.truth["annotations"], 1)]
    truth.dataset = scene.truth | {"annotations": rows}
    dropped = "segmentation" if kind == "bbox" else "bbox"
    results = [{k: v for k, v in one.items() if k != dropped} for one in scene.results]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.params.maxDets = [1, 10, limit]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


@KINDS
def test_equals_pycocotools(scene, kind):
    found, expected = of_scene(scene, kind), by_hand(scene, kind).eval
    for name in NAMES:
        np.testing.assert_allclose(
            getattr(found, name), expected[name][..., -1], rtol=0, atol=1e-12, err_msg=name
        )
    assert 0.05 < found.precision[found.precision > -1].mean() < 0.95
    assert (found.precision[:, :, 2] == -1).all(), "the class without objects, id 11, is the third"


@KINDS
def test_equals_pycocotools_own_summary(scene, kind):
    evaluation = by_hand(scene, kind)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.summarize()
    found = numbers_of(scene, kind)
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


@pytest.fixture(scope="module")
def crowded():
    """Annotations and results by seed, each made once: up to 70 objects an image, equal scores."""
    made = {}

    def make(make_scene, seed):
        if seed not in made:
            scene = make_scene(seed, num_images=3, objects=70, extra=30)
            made[seed] = Truth(scene.truth), ResultRows(scene.results)
        return made[seed]

    return make


@KINDS
@pytest.mark.parametrize("limit", [300, 100, 7])
@pytest.mark.parametrize("seed", range(4))
def test_crowded_images(crowded, make_scene, kind, limit, seed):
    truth, rows = crowded(make_scene, seed)
    expected = coco_evaluation.evaluate(truth, rows, kind, limit)
    found = arrays(truth, rows, kind, limit)
    for name in NAMES:
        np.testing.assert_allclose(
            getattr(found, name), expected.eval[name][..., 0], rtol=1e-14, err_msg=name
        )
    assert (found.precision > 0).any()
    assert (found.precision == 0).any()
    assert (found.precision[:, :, 2] == -1).all(), "the class without objects, id 11, is the third"
    assert list(IOU_THRESHOLDS) == expected.params.iouThrs.tolist()
    assert [list(area) for area in AREAS.values()] == expected.params.areaRng


def test_pairs_of_all_classes_give_the_same(crowded, make_scene):
    """What the error analysis needs serves for average precision too."""
    truth, rows = crowded(make_scene, 0)
    found = arrays_of(find_overlaps(truth, rows, "segm", 100))
    expected = arrays(truth, rows, "segm")
    for name in NAMES:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_boxes_and_annotated_areas_beside_the_masks(empty_scene):
    """Boxes that lie elsewhere and areas of another size: masks are compared by their own pixels."""
    scene = empty_scene()
    for n in range(6):
        scene.annotate(1, 1, [10 + 25 * n, 10, 20, 40])
        scene.detect(1, 1, [10 + 25 * n, 12 + n, 20, 40], 0.9 - 0.1 * n)
    for n, one in enumerate(scene.truth["annotations"]):
        one |= {"bbox": [0.0, 0.0, 1.0, 1.0], "area": [5.0, 2000.0, 20000.0][n % 3]}
    for one in scene.results:
        one["bbox"] = [170.0, 140.0, 3.0, 3.0]
    truth, rows = Truth(scene.truth), ResultRows(scene.results)
    for kind, most in (("segm", 1), ("bbox", 0)):
        expected = coco_evaluation.evaluate(truth, rows, kind).eval
        found = arrays(truth, rows, kind)
        np.testing.assert_array_equal(found.precision, expected["precision"][..., 0])
        assert found.recall.max() == most


@KINDS
def test_more_than_a_hundred_detections_an_image(empty_scene, kind):
    scene = empty_scene()
    for n in range(150):
        box = [n % 15 * 11, n // 15 * 11, 10, 10]
        scene.annotate(1, 2, box)
        scene.detect(1, 2, box, 1 - n / 1000)
    assert of_scene(scene, kind, 150).recall[0, 1, 0] == 1
    assert of_scene(scene, kind, 100).recall[0, 1, 0] == pytest.approx(2 / 3)


@KINDS
def test_no_detection_is_zero_and_no_object_is_undefined(empty_scene, kind):
    scene = empty_scene(image_ids=(1, 2))
    scene.annotate(1, 1, [10, 10, 50, 60])
    found = of_scene(scene, kind)
    assert (found.precision[:, :, 0, 0] == 0).all()
    assert (found.recall[:, 0, 0] == 0).all()
    assert (found.recall[:, 1:] == -1).all()
    nothing = empty_scene()
    assert (of_scene(nothing, kind).precision == -1).all()
    nothing.detect(1, 1, [10, 10, 50, 60], 0.5)
    assert (of_scene(nothing, kind).precision == -1).all()


@KINDS
def test_an_annotation_with_id_zero_can_be_found(empty_scene, kind):
    """pycocotools itself takes the match with id 0 for none."""
    scene = empty_scene()
    scene.annotate(1, 1, [10, 10, 50, 60])
    scene.detect(1, 1, [10, 10, 50, 60], 0.9)
    assert scene.truth["annotations"][0]["id"] == 0
    np.testing.assert_allclose(of_scene(scene, kind).precision[..., 0, 0], 1)


def test_polygons(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, [20, 20, 41, 41])
    scene.truth["annotations"][0]["segmentation"] = [[20.3, 20, 61, 24.5, 50, 60.7, 22, 58]]
    scene.detect(1, 1, [20, 20, 41, 41], 0.9)
    found = of_scene(scene, "segm")
    expected = by_hand(scene, "segm").eval["precision"][..., -1]
    np.testing.assert_allclose(found.precision, expected, rtol=0, atol=1e-12)
    assert 0 < found.precision[:, 0, 0, 0].mean() < 1


def test_nothing_that_is_given_is_changed(scene):
    before = repr(scene.truth), repr(scene.results)
    numbers_of(scene, "segm")
    assert (repr(scene.truth), repr(scene.results)) == before


def test_perfect_and_absent_classes(empty_scene):
    scene = empty_scene(category_ids=(1, 2))
    scene.annotate(1, 1, BOX)
    scene.detect(1, 1, BOX, 0.9)
    found = numbers_of(scene, "segm")
    assert found.ap == pytest.approx(1)
    assert found.by_class["class 1"] == pytest.approx(1)
    assert isnan(found.by_class["class 2"]), "nothing annotated, so no number"
    assert isnan(found.by_area["small"])
    point = found.best["class 1"]
    assert (point.threshold, point.precision, point.recall, point.f1) == (0.9, 1, 1, 1)
    assert found.overall == point, "the other class has nothing to find"


@KINDS
def test_no_detection_at_all_is_zero(empty_scene, kind):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    found = compare(scene.truth, [], kind).average_precision
    assert (found.ap, found.ap50, found.recall) == (0, 0, 0)
    assert (found.overall.recall, found.overall.f1) == (0, 0)
    assert isnan(found.overall.precision)


def test_nothing_annotated_is_undefined(empty_scene):
    found = compare(empty_scene().truth, [], "bbox").average_precision
    assert isnan(found.ap)
    assert isnan(found.overall.f1)


def test_more_than_a_hundred_objects_an_image_can_be_found(empty_scene):
    """pycocotools' own summary stops counting at 100."""
    scene = empty_scene()
    for n in range(150):
        box = [n % 15 * 11, n // 15 * 11, 10, 10]
        scene.annotate(1, 1, box)
        scene.detect(1, 1, box, 0.9)
    for limit, recall in ((150, 1), (100, 2 / 3), (30, 2 / 3)):
        found = numbers_of(scene, "bbox", limit)
        assert found.recall == pytest.approx(recall)
        assert found.best["class 1"].recall == pytest.approx(recall)


def test_tables(scene):
    bbox, segm = (numbers_of(scene, kind) for kind in ("bbox", "segm"))
    head, first, second = summary(bbox, segm).splitlines()
    assert head.split() == ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR", "P", "R", "F1",
                            "score"]  # fmt: skip
    assert first.split()[:2] == ["bbox", f"{bbox.ap:.4f}"]
    point = segm.overall
    assert second.split()[-4:] == [
        *(f"{value:.4f}" for value in (point.precision, point.recall, point.f1)),
        f"{point.threshold:.3f}",
    ]
    lines = class_table(segm).splitlines()
    assert len(lines) == 5
    assert len({len(line) for line in lines}) == 1, "columns stand under each other"
    assert lines[3].split() == ["class", "11", "0", *"--------"]
    rows = class_rows(segm)
    assert [row["objects"] for row in rows] == Truth(scene.truth).num_objects.tolist()
    assert f"{rows[0]['threshold']:.3f}" == lines[1].split()[-1]
