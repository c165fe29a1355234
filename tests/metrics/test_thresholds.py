"""The best threshold against trying every score on the detections themselves."""

import numpy as np
import pytest

from paddlex_maskrcnn.metrics.matching import match
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.thresholds import best_point, best_points, curve_of_all
from paddlex_maskrcnn.metrics.truth import Truth


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
    found = best_points(overlaps, match(overlaps))
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
    found = best_points(overlaps, match(overlaps))
    assert np.isnan(found["class 1"].precision), "nothing detected"
    assert found["class 2"].precision == 0
    assert [found[f"class {k}"].f1 for k in (1, 2)] == [0, 0]
    assert np.isnan(found["class 2"].threshold)
