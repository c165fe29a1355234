import numpy as np
import pytest

from paddlex_maskrcnn.metrics.calibration import calibration
from paddlex_maskrcnn.metrics.matching import match
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth


def measure(scene, num_bins=10):
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(scene.results), "bbox")
    return calibration(overlaps, match(overlaps), num_bins), overlaps, match(overlaps)


def test_equals_counting_by_hand(scene):
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


def test_no_detections(empty_scene):
    found = measure(empty_scene())[0]
    assert np.isnan(found.ece)
    assert found.counts.sum() == 0
