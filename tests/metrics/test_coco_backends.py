"""Every way to evaluate gives the arrays that pycocotools gives, in all the cases data can have."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex_maskrcnn.metrics import coco_backends
from paddlex_maskrcnn.metrics.coco_backends import (
    BACKENDS,
    choose_backend,
    coco_arrays,
    installed_backends,
)
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth

KINDS = pytest.mark.parametrize("kind", ["bbox", "segm"])
LIBRARIES = pytest.mark.parametrize("backend", BACKENDS)


def evaluate(scene, kind, backend, limit=100):
    if backend not in installed_backends():
        pytest.skip(f"{backend} is not installed")
    return coco_arrays(Truth(scene.truth), ResultRows(scene.results), kind, limit, backend)


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
    return evaluation.eval


@KINDS
@LIBRARIES
def test_equals_pycocotools(scene, kind, backend):
    found, expected = evaluate(scene, kind, backend), by_hand(scene, kind)
    for name in ("precision", "recall", "scores"):
        np.testing.assert_allclose(
            getattr(found, name), expected[name][..., -1], rtol=0, atol=1e-12, err_msg=name
        )
    assert 0.05 < found.precision[found.precision > -1].mean() < 0.95
    assert (found.precision[:, :, 2] == -1).all(), "the class without objects, id 11, is the third"


@KINDS
@LIBRARIES
def test_more_than_a_hundred_detections_an_image(empty_scene, kind, backend):
    scene = empty_scene()
    for n in range(150):
        box = [n % 15 * 11, n // 15 * 11, 10, 10]
        scene.annotate(1, 2, box)
        scene.detect(1, 2, box, 1 - n / 1000)
    assert evaluate(scene, kind, backend, 150).recall[0, 1, 0] == 1
    assert evaluate(scene, kind, backend, 100).recall[0, 1, 0] == pytest.approx(2 / 3)


@KINDS
@LIBRARIES
def test_no_detection_is_zero_and_no_object_is_undefined(empty_scene, kind, backend):
    scene = empty_scene(image_ids=(1, 2))
    scene.annotate(1, 1, [10, 10, 50, 60])
    found = evaluate(scene, kind, backend)
    assert (found.precision[:, :, 0, 0] == 0).all()
    assert (found.recall[:, 0, 0] == 0).all()
    assert (found.recall[:, 1:] == -1).all()
    nothing = empty_scene()
    assert (evaluate(nothing, kind, backend).precision == -1).all()
    nothing.detect(1, 1, [10, 10, 50, 60], 0.5)
    assert (evaluate(nothing, kind, backend).precision == -1).all()


@KINDS
@LIBRARIES
def test_an_annotation_with_id_zero_can_be_found(empty_scene, kind, backend):
    """pycocotools itself takes the match with id 0 for none."""
    scene = empty_scene()
    scene.annotate(1, 1, [10, 10, 50, 60])
    scene.detect(1, 1, [10, 10, 50, 60], 0.9)
    assert scene.truth["annotations"][0]["id"] == 0
    np.testing.assert_allclose(evaluate(scene, kind, backend).precision[..., 0, 0], 1)


@LIBRARIES
def test_polygons_are_read_alike(empty_scene, backend):
    scene = empty_scene()
    scene.annotate(1, 1, [20, 20, 41, 41])
    scene.truth["annotations"][0]["segmentation"] = [[20.3, 20, 61, 24.5, 50, 60.7, 22, 58]]
    scene.detect(1, 1, [20, 20, 41, 41], 0.9)
    found = evaluate(scene, "segm", backend)
    expected = evaluate(scene, "segm", "pycocotools")
    np.testing.assert_allclose(found.precision, expected.precision, rtol=0, atol=1e-12)
    assert 0 < found.precision[:, 0, 0, 0].mean() < 1


def test_nothing_that_is_given_is_changed(scene):
    before = repr(scene.truth), repr(scene.results)
    for backend in installed_backends():
        evaluate(scene, "segm", backend)
    assert (repr(scene.truth), repr(scene.results)) == before


def test_auto_needs_no_library(monkeypatch):
    assert (BACKENDS[0], BACKENDS[-1]) == ("built-in", "pycocotools")
    assert choose_backend("auto") == "built-in"
    monkeypatch.setattr(
        coco_backends.importlib.util, "find_spec", lambda name: name == "pycocotools"
    )
    assert installed_backends() == ["built-in", "pycocotools"]
    assert choose_backend("auto") == "built-in"
    with pytest.raises(ValueError, match="'hotcoco', which is not installed: pip install hotcoco"):
        choose_backend("hotcoco")


def test_unknown_backend():
    with pytest.raises(ValueError, match="backend is 'cocoapi'; allowed: auto, built-in, hotcoco"):
        choose_backend("cocoapi")
