import pytest

from paddlex_maskrcnn.metrics.image_scores import image_scores
from paddlex_maskrcnn.metrics.matching import match
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth

BOX, ELSEWHERE = [20, 20, 40, 40], [110, 90, 40, 40]


def test_equals_each_image_alone(scene):
    overlaps = find_overlaps(Truth(scene.truth), ResultRows(scene.results), "segm")
    found = image_scores(overlaps, threshold=0.4)
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


def test_worst_first(empty_scene):
    scene = empty_scene(image_ids=(1, 2, 3, 4))
    scene.annotate(1, 1, BOX)
    scene.detect(1, 1, BOX, 0.9)
    scene.detect(2, 1, BOX, 0.9)
    scene.annotate(3, 1, BOX)
    scene.annotate(3, 1, ELSEWHERE)
    found = image_scores(find_overlaps(Truth(scene.truth), ResultRows(scene.results), "bbox"), 0.5)
    assert [(one.image_id, one.mistakes, one.f1) for one in found] == [
        (3, 2, 0), (2, 1, 0), (1, 0, 1), (4, 0, pytest.approx(1)),
    ]  # fmt: skip
