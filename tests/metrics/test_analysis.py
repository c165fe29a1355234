import json

import pytest

from paddlex_maskrcnn.metrics.analysis import analyse
from paddlex_maskrcnn.metrics.evaluation import compare, without_nan


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_parts_agree(scene, kind):
    found = analyse(compare(scene.truth, scene.results, kind))
    assert found.threshold == found.point.threshold
    assert found.confusion.threshold == found.threshold
    assert found.errors.ap50 == pytest.approx(found.average_precision.ap50)
    for one, name in zip(found.curves, found.truth.names, strict=True):
        expected = found.average_precision.ap50_by_class[name]
        assert one.average_precision == pytest.approx(expected, nan_ok=True)
    right = sum(one.right for one in found.images)
    missed, false = (
        sum(getattr(one, name) for one in found.images) for name in ("missed", "false")
    )
    assert 2 * right / (2 * right + missed + false) == pytest.approx(found.point.f1)
    assert right + missed == found.point.num_objects


def test_a_threshold_of_ones_own(scene):
    found = analyse(compare(scene.truth, scene.results, "bbox"), threshold=0.95)
    assert found.threshold == 0.95
    shown = sum(one["score"] >= 0.95 for one in scene.results)
    assert sum(len(one.rows) for one in found.images) == shown < len(scene.results)


def test_as_plain_is_json(scene):
    plain = without_nan(analyse(compare(scene.truth, scene.results, "segm")).as_plain())
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert len(plain["images"]) == len(scene.truth["images"])


def test_nothing_right_at_all(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, [10, 10, 30, 30])
    assert analyse(compare(scene.truth, [], "segm")).threshold == 0.5
