import numpy as np
import pytest

from paddlex_maskrcnn.metrics.confusion import confusion_matrix
from paddlex_maskrcnn.metrics.matching import match
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth
from reference.confusion import confusion

BOX, ELSEWHERE = [20, 20, 40, 40], [110, 90, 40, 40]


def matrix_of(scene, threshold=0.0, kind="segm"):
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(scene.results), kind)
    return confusion_matrix(overlaps, threshold)


@pytest.mark.parametrize("threshold", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_equals_one_detection_at_a_time(scene, kind, threshold):
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
    found = confusion_matrix(overlaps, threshold)
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


def test_a_detection_in_a_crowd_region_is_not_counted(empty_scene):
    scene = empty_scene(category_ids=(1, 2))
    scene.annotate(1, 1, [10, 10, 100, 100], crowd=True)
    scene.detect(1, 1, [40, 40, 20, 20], 0.9)
    scene.detect(1, 2, [40, 40, 20, 20], 0.9)
    assert matrix_of(scene).matrix.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_nothing(empty_scene):
    assert not matrix_of(empty_scene()).matrix.any()
