"""The built-in evaluation against COCOeval in crowded images, to the last digit."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex_maskrcnn.metrics.coco_arrays import AREAS, IOU_THRESHOLDS, coco_arrays_of
from paddlex_maskrcnn.metrics.coco_backends import coco_arrays
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth


def by_pycocotools(truth, rows, kind, limit):
    """With its own IoUs and sizes, so that ours are compared too."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth.as_coco(kind)
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(rows.of_kind(kind)), kind)
        evaluation.params.maxDets = [limit]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


@pytest.fixture(scope="module")
def crowded():
    """Annotations and results by seed, each made once: up to 70 objects an image, equal scores."""
    made = {}

    def make(make_scene, seed):
        if seed not in made:
            scene = make_scene(seed, num_images=3, objects=70, extra=30)
            made[seed] = Truth(scene.truth), ResultRows(scene.results)
        return made[seed]

    return make


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("limit", [300, 100, 7])
@pytest.mark.parametrize("seed", range(4))
def test_crowded_images(crowded, make_scene, kind, limit, seed):
    truth, rows = crowded(make_scene, seed)
    expected = by_pycocotools(truth, rows, kind, limit)
    overlaps = find_overlaps(truth, rows, kind, limit, own_class=True, least=0.5)
    found = coco_arrays_of(overlaps)
    for name in ("precision", "recall", "scores"):
        np.testing.assert_allclose(
            getattr(found, name), expected.eval[name][..., 0], rtol=1e-14, err_msg=name
        )
    assert (found.precision > 0).any()
    assert (found.precision == 0).any()
    assert (found.precision[:, :, 2] == -1).all(), "the class without objects, id 11, is the third"
    assert list(IOU_THRESHOLDS) == expected.params.iouThrs.tolist()
    assert [list(area) for area in AREAS.values()] == expected.params.areaRng


def test_pairs_of_all_classes_give_the_same(crowded, make_scene):
    """What the error analysis has compared already serves for average precision."""
    truth, rows = crowded(make_scene, 0)
    found = coco_arrays_of(find_overlaps(truth, rows, "segm", 100))
    expected = coco_arrays(truth, rows, "segm", 100, "built-in")
    for name in ("precision", "recall", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_boxes_and_annotated_areas_beside_the_masks(empty_scene):
    """Boxes that lie elsewhere and areas of another size: masks are compared by their own pixels."""
    scene = empty_scene()
    for n in range(6):
        scene.annotate(1, 1, [10 + 25 * n, 10, 20, 40])
        scene.detect(1, 1, [10 + 25 * n, 12 + n, 20, 40], 0.9 - 0.1 * n)
    for n, one in enumerate(scene.truth["annotations"]):
        one |= {"bbox": [0.0, 0.0, 1.0, 1.0], "area": [5.0, 2000.0, 20000.0][n % 3]}
    for one in scene.results:
        one["bbox"] = [170.0, 140.0, 3.0, 3.0]
    truth, rows = Truth(scene.truth), ResultRows(scene.results)
    for kind, most in (("segm", 1), ("bbox", 0)):
        expected = by_pycocotools(truth, rows, kind, 100).eval
        found = coco_arrays(truth, rows, kind, 100, "built-in")
        np.testing.assert_array_equal(found.precision, expected["precision"][..., 0])
        assert found.recall.max() == most
