"""The error split against a slow version, and scenes where only one kind of error exists."""

import numpy as np
import pytest

from paddlex_maskrcnn.metrics.error_split import KINDS_OF_ERROR, split_errors
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth
from reference.tide import tide

BOX = [20, 20, 40, 40]
ELSEWHERE = [110, 90, 40, 40]


def split(scene, kind="segm"):
    return split_errors(find_overlaps(Truth(scene.truth), ResultRows(scene.results), kind))


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
    found = split_errors(overlaps)
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
