"""Results in the forms of supervision and Detectron2."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from detectron2.utils.visualizer import Visualizer

from paddlex_maskrcnn.inference.detections import BoxMask, Detection
from paddlex_maskrcnn.inference.results import as_object, to_instances, to_supervision

HEIGHT, WIDTH = 40, 60
FOUND = [
    Detection((3.0, 4.0, 13.0, 9.5), 0.9, 1, BoxMask(3, 4, np.ones((5, 10), np.uint8))),
    Detection((30.0, 20.0, 35.0, 30.0), 0.6, 0, BoxMask(30, 20, np.ones((10, 5), np.uint8))),
]


@pytest.fixture(params=["dense", "rle", "box"])
def results(request):
    return [as_object(one, ["bolt", "nut"], HEIGHT, WIDTH, request.param) for one in FOUND]


def check(boxes, masks, scores, classes):
    assert boxes.tolist() == [[3, 4, 13, 9.5], [30, 20, 35, 30]]
    assert masks.shape == (2, HEIGHT, WIDTH)
    for mask, one in zip(masks, FOUND, strict=True):
        assert np.array_equal(mask, one.mask.dense(HEIGHT, WIDTH))
    assert scores.tolist() == pytest.approx([0.9, 0.6])
    assert classes.tolist() == [1, 0]


def test_instances(results):
    found = to_instances(results, HEIGHT, WIDTH)
    check(found.pred_boxes.tensor, found.pred_masks.numpy(), found.scores, found.pred_classes)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    names = SimpleNamespace(
        get=lambda key, default=None: {"thing_classes": ["bolt", "nut"]}.get(key)
    )
    drawn = Visualizer(image, names).draw_instance_predictions(found).get_image()
    assert drawn.any()


def test_no_instances():
    found = to_instances([], HEIGHT, WIDTH)
    assert len(found) == 0
    assert found.pred_masks.shape == (0, HEIGHT, WIDTH)


def test_instances_of_another_size(results):
    if isinstance(results[0]["mask"], tuple):
        pytest.skip("a window does not know the size")
    with pytest.raises(ValueError, match=r"height and width are 40 and 99, but .* of 40 and 60"):
        to_instances(results, HEIGHT, 99)


def test_without_supervision(monkeypatch, results):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ModuleNotFoundError, match="pip install supervision"):
        to_supervision(results)


def test_supervision(monkeypatch, results):
    """With the package where it is installed, else with a stand-in for its constructor."""
    try:
        import supervision  # noqa: F401
    except ModuleNotFoundError:
        stand_in = SimpleNamespace(Detections=lambda **fields: SimpleNamespace(**fields))
        monkeypatch.setitem(sys.modules, "supervision", stand_in)
    found = to_supervision(results, HEIGHT, WIDTH)
    check(found.xyxy, found.mask, found.confidence, found.class_id)
    assert found.mask.dtype == bool
    assert found.data["class_name"].tolist() == ["nut", "bolt"]
