"""What scores say, against trying every score, counting by hand, and each image alone."""

import numpy as np
import pytest

from paddlex_maskrcnn.metrics.matching import curve_of_all, curves, match
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.scores import best_point, calibration, image_scores
from paddlex_maskrcnn.metrics.truth import Truth

BOX, ELSEWHERE = [20, 20, 40, 40], [110, 90, 40, 40]


def best_points(overlaps):
    """Class name -> its best point."""
    of_classes = curves(overlaps, match(overlaps))
    return dict(zip(overlaps.truth.names, map(best_point, of_classes), strict=True))


def at_threshold(scene, kind, threshold, category=None):
    """Right and false detections when only those from a score on exist at all."""
    rows = [one for one in scene.results if one["score"] >= threshold]
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(rows), kind)
    matches = match(overlaps)
    mine = np.isin(
        overlaps.truth.category_ids[overlaps.classes], category or overlaps.truth.category_ids
    )
    right = int((matches.right & mine).sum())
    return right, int((matches.counts & mine).sum()) - right


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_equals_trying_every_score(scene, kind):
    truth = Truth(scene.truth)
    overlaps = find_overlaps(truth, ResultRows(scene.results), kind)
    found = best_points(overlaps)
    scores = sorted({one["score"] for one in scene.results}, reverse=True)
    everything = [
        (None, int(truth.num_objects.sum()), best_point(curve_of_all(overlaps, match(overlaps))))
    ]
    of_classes = [
        (category, int(number), found[f"class {category}"])
        for category, number in zip(truth.category_ids.tolist(), truth.num_objects, strict=True)
    ]
    for category, number, point in everything + of_classes:
        if not number:
            assert np.isnan([point.threshold, point.f1]).all()
            continue
        tried = {score: at_threshold(scene, kind, score, category) for score in scores}
        f1 = {s: 2 * r / (r + f + number) for s, (r, f) in tried.items()}
        best = max(scores, key=lambda s: f1[s])  # the first, so the highest score, of equal ones
        right, false = tried[best]
        assert point.f1 == pytest.approx(f1[best])
        assert point.threshold == best
        assert point.precision == pytest.approx(right / (right + false))
        assert point.recall == pytest.approx(right / number)


def test_classes_without_a_right_detection(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, [10, 10, 30, 30])
    scene.annotate(1, 2, [80, 80, 30, 30])
    scene.detect(1, 2, [10, 80, 30, 30], 0.7)
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(scene.results), "segm")
    found = best_points(overlaps)
    assert np.isnan(found["class 1"].precision), "nothing detected"
    assert found["class 2"].precision == 0
    assert [found[f"class {k}"].f1 for k in (1, 2)] == [0, 0]
    assert np.isnan(found["class 2"].threshold)


def measure(scene, num_bins=10):
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(scene.results), "bbox")
    return calibration(overlaps, match(overlaps), num_bins), overlaps, match(overlaps)


def test_calibration_equals_counting_by_hand(scene):
    found, overlaps, matches = measure(scene)
    kept = np.flatnonzero(matches.counts)
    error = 0.0
    for b in range(10):
        low, high = b / 10, (b + 1) / 10
        inside = [
            i for i in kept
            if low + 1e-12 < overlaps.scores[i] <= high + 1e-12 or (b == 0 and overlaps.scores[i] == 0)
        ]  # fmt: skip
        assert found.counts[b] == len(inside)
        if inside:
            confidence, accuracy = overlaps.scores[inside].mean(), matches.right[inside].mean()
            assert found.confidence[b] == pytest.approx(confidence)
            assert found.accuracy[b] == pytest.approx(accuracy)
            error += len(inside) / len(kept) * abs(confidence - accuracy)
        else:
            assert np.isnan(found.accuracy[b])
    assert found.ece == pytest.approx(error)
    assert 0.05 < found.ece < 0.9


def test_scores_that_mean_what_they_say(empty_scene):
    scene = empty_scene()
    for n in range(4):
        box = [n * 40, 10, 30, 30]
        scene.annotate(1, 1, box)
        scene.detect(1, 1, box if n else [0, 100, 30, 30], 0.75)
    assert measure(scene)[0].ece == pytest.approx(0)
    scene.results[1]["bbox"] = [0, 60, 30, 30]
    assert measure(scene)[0].ece == pytest.approx(0.25)


def test_calibration_without_detections(empty_scene):
    found = measure(empty_scene())[0]
    assert np.isnan(found.ece)
    assert found.counts.sum() == 0


def test_equals_each_image_alone(scene):
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(scene.results), "segm")
    found = image_scores(overlaps, match(overlaps), threshold=0.4)
    assert {one.image_id for one in found} == {one["id"] for one in scene.truth["images"]}
    assert [one.f1 for one in found] == sorted(one.f1 for one in found)
    for one in found:
        alone = {
            **scene.truth,
            "annotations": [a for a in scene.truth["annotations"] if a["image_id"] == one.image_id],
        }
        rows = [r for r in scene.results if r["image_id"] == one.image_id and r["score"] >= 0.4]
        here = find_overlaps(Truth(alone), ResultRows(rows), "segm")
        matches = match(here)
        right = int(matches.right.sum())
        assert one.right == right
        assert one.false == int(matches.counts.sum()) - right
        assert one.missed == int((~here.truth.crowd).sum()) - right
        assert [scene.results[i] for i in one.rows] == sorted(rows, key=lambda r: -r["score"])


def test_worst_image_first(empty_scene):
    scene = empty_scene(image_ids=(1, 2, 3, 4))
    scene.annotate(1, 1, BOX)
    scene.detect(1, 1, BOX, 0.9)
    scene.detect(2, 1, BOX, 0.9)
    scene.annotate(3, 1, BOX)
    scene.annotate(3, 1, ELSEWHERE)
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(scene.results), "bbox")
    found = image_scores(overlaps, match(overlaps), 0.5)
    assert [(one.image_id, one.mistakes, one.f1) for one in found] == [
        (3, 2, 0), (2, 1, 0), (1, 0, 1), (4, 0, pytest.approx(1)),
    ]  # fmt: skip
