"""Kinds of error and confusion against slow versions, scenes with one kind only, reasons for zero."""

import numpy as np
import pytest

from paddlex_maskrcnn.metrics.errors import (
    KINDS_OF_ERROR,
    confusion_matrix,
    split_errors,
    why_undefined,
    why_zero,
)
from paddlex_maskrcnn.metrics.matching import match
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth
from reference.confusion import confusion
from reference.tide import tide

BOX = [20, 20, 40, 40]
ELSEWHERE = [110, 90, 40, 40]
SHIFTED = [40, 20, 40, 40]  # overlaps BOX by a third


def split(scene, kind="segm"):
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(scene.results), kind)
    return split_errors(overlaps, match(overlaps))


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_slow_version(make_scene, seed, kind):
    scene = make_scene(seed, num_images=8)
    for one in scene.truth["annotations"]:
        one["iscrowd"] = 0
    random = np.random.default_rng(seed)
    order = random.permutation(len(scene.results))
    for one, place in zip(scene.results, order, strict=True):
        one["score"] = float((place + 1) / (len(order) + 1))
    truth = Truth(scene.truth)
    overlaps = find_overlaps(truth, ResultRows(scene.results), kind)
    iou = np.zeros((len(overlaps.scores), len(truth.classes)))
    iou[overlaps.detection, overlaps.object] = overlaps.iou
    objects = list(zip(truth.images.tolist(), truth.classes.tolist(), strict=True))
    detections = list(
        zip(
            overlaps.images.tolist(),
            overlaps.classes.tolist(),
            overlaps.scores.tolist(),
            strict=True,
        )
    )
    kinds, missed, base, gains = tide(objects, detections, iou)
    found = split_errors(overlaps, match(overlaps))
    names = [KINDS_OF_ERROR[i] if i >= 0 else "" for i in found.of_detection]
    assert names == kinds
    assert np.flatnonzero(found.missed).tolist() == missed
    assert found.ap50 == pytest.approx(base)
    assert found.gains == pytest.approx(gains)
    assert found.counts == {
        kind: len(missed) if kind == "Miss" else kinds.count(kind) for kind in KINDS_OF_ERROR
    }
    assert sum(number > 0 for number in found.counts.values()) >= 5, "the scene has most kinds"


def only(kind, scene):
    """A scene of two right detections and one error."""
    scene.annotate(1, 1, BOX)
    scene.annotate(2, 2, BOX)
    scene.detect(1, 1, BOX, 0.5)
    if kind == "Cls":
        scene.detect(2, 1, BOX, 0.9)
        return
    if kind == "Loc":
        scene.detect(2, 2, [40, 20, 40, 40], 0.9)
        return
    if kind != "Miss":
        scene.detect(2, 2, BOX, 0.5)
    if kind == "Both":
        scene.detect(2, 1, [40, 20, 40, 40], 0.9)
    elif kind == "Dupe":
        scene.detect(1, 1, BOX, 0.4)
        scene.annotate(3, 1, BOX)
        scene.detect(3, 1, BOX, 0.3)
    elif kind == "Bkg":
        scene.detect(2, 2, ELSEWHERE, 0.9)


@pytest.mark.parametrize("kind", KINDS_OF_ERROR)
def test_names_the_only_error(empty_scene, kind):
    scene = empty_scene(image_ids=(1, 2, 3))
    only(kind, scene)
    found = split(scene)
    assert found.counts == {one: int(one == kind) for one in KINDS_OF_ERROR}
    gaining = {one for one, gain in found.gains.items() if gain > 0}
    assert gaining == {kind}
    assert found.ap50 + found.gains[kind] == pytest.approx(1), "mended, all is right"
    assert sum(found.counts_by_class[kind]) == 1


def test_nothing_wrong(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    scene.detect(1, 1, BOX, 0.5)
    found = split(scene)
    assert found.ap50 == 1
    assert set(found.gains.values()) == {0.0}
    assert (found.perfect_precision, found.perfect_recall) == (0, 0)


def test_perfect_precision_and_recall(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    scene.annotate(1, 1, ELSEWHERE)
    scene.detect(1, 1, [70, 20, 20, 20], 0.9)
    scene.detect(1, 1, BOX, 0.5)
    found = split(scene)
    assert found.ap50 == pytest.approx(0.5 * 51 / 101)
    assert found.ap50 + found.perfect_precision == pytest.approx(51 / 101)
    assert found.ap50 + found.perfect_recall == pytest.approx(0.5)


def test_a_detection_in_a_crowd_region_is_no_error(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, [10, 10, 100, 100], crowd=True)
    scene.annotate(1, 1, [120, 10, 30, 30])
    scene.detect(1, 1, [120, 10, 30, 30], 0.5)
    scene.detect(1, 1, [40, 40, 20, 20], 0.9)
    assert sum(split(scene).counts.values()) == 0


def test_no_objects_at_all(empty_scene):
    scene = empty_scene()
    scene.detect(1, 1, BOX, 0.5)
    found = split(scene)
    assert np.isnan(found.ap50)
    assert found.counts["Bkg"] == 1


def matrix_of(scene, threshold=0.0, kind="segm"):
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(scene.results), kind)
    return confusion_matrix(overlaps, match(overlaps), threshold)


@pytest.mark.parametrize("threshold", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_confusion_equals_one_detection_at_a_time(scene, kind, threshold):
    truth = Truth(scene.truth)
    overlaps = find_overlaps(truth, ResultRows(scene.results), kind)
    real = np.flatnonzero(~truth.crowd)
    iou = np.zeros((len(overlaps.scores), len(truth.classes)))
    iou[overlaps.detection, overlaps.object] = overlaps.iou
    matches = match(overlaps)
    expected = confusion(
        truth.classes[real].tolist(),
        list(zip(overlaps.classes.tolist(), overlaps.scores.tolist(), strict=True)),
        iou[:, real],
        ~matches.counts,
        4,
        threshold,
    )
    found = confusion_matrix(overlaps, match(overlaps), threshold)
    np.testing.assert_array_equal(found.matrix, expected)
    assert found.matrix[:-1].sum() == truth.num_objects.sum(), "each object stands in one cell"
    assert found.names == [*truth.names, "background"]
    if threshold == 0:
        assert np.trace(found.matrix) > 5
        assert found.matrix[-1].sum()
        assert found.matrix[:, -1].sum()
        assert np.triu(found.matrix[:-1, :-1], 1).sum()


def test_every_kind_of_cell(empty_scene):
    scene = empty_scene(category_ids=(1, 2))
    scene.annotate(1, 1, BOX)
    scene.detect(1, 2, BOX, 0.9)
    scene.annotate(1, 2, ELSEWHERE)
    scene.detect(1, 1, [110, 20, 30, 30], 0.8)
    found = matrix_of(scene)
    assert found.matrix.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert set(found.worst()) == {
        ("class 1", "class 2", 1), ("class 2", "background", 1), ("background", "class 1", 1),
    }  # fmt: skip
    assert len(found.worst(2)) == 2


def test_of_two_equal_objects_the_one_of_its_class(empty_scene):
    scene = empty_scene(category_ids=(1, 2))
    scene.annotate(1, 1, BOX)
    scene.annotate(1, 2, BOX)
    scene.detect(1, 2, BOX, 0.9)
    assert matrix_of(scene).matrix.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_a_detection_in_a_crowd_region_is_not_confused(empty_scene):
    scene = empty_scene(category_ids=(1, 2))
    scene.annotate(1, 1, [10, 10, 100, 100], crowd=True)
    scene.detect(1, 1, [40, 40, 20, 20], 0.9)
    scene.detect(1, 2, [40, 40, 20, 20], 0.9)
    assert matrix_of(scene).matrix.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_confusion_of_nothing(empty_scene):
    assert not matrix_of(empty_scene()).matrix.any()


def zero(scene):
    return why_zero(find_overlaps(Truth(scene.truth), ResultRows(scene.results), "bbox"))


def test_undefined(empty_scene):
    scene = empty_scene(image_ids=(1, 2))
    assert "val.json has no annotated object in its 2 images" in why_undefined(
        Truth(scene.truth), "val.json"
    )
    scene.annotate(1, 1, BOX, crowd=True)
    assert "all 1 annotations of x are crowd" in why_undefined(Truth(scene.truth), "x")
    scene.annotate(1, 1, BOX)
    assert why_undefined(Truth(scene.truth), "x") == ""


def test_zero(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    scene.detect(1, 1, SHIFTED, 0.25)
    text = zero(scene)
    assert "none of 1 detections (highest score 0.250)" in text
    assert "the best overlap is 0.33; train longer" in text


def test_zero_because_of_the_order_of_classes(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    scene.detect(1, 2, BOX, 0.9)
    assert "1 overlap an object of another class by half: are the classes" in zero(scene)


def test_zero_because_nothing_meets(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    scene.detect(1, 1, ELSEWHERE, 0.9)
    assert "None touches any object: do annotations and images belong together?" in zero(scene)
