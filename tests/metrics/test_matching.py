"""Our matching against COCOeval at every IoU and size, crowd regions and equal scores included."""

import numpy as np
import pytest

from paddlex_maskrcnn.metrics.average_precision import AREAS
from paddlex_maskrcnn.metrics.matching import _assign, _Pairs, curves, match, match_at
from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth
from reference import coco_evaluation

IOUS = (0.1, 0.5, 0.75)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("limit", [100, 2])
def test_equals_pycocotools(scene, kind, limit):
    truth, rows = Truth(scene.truth), ResultRows(scene.results)
    expected = coco_evaluation.evaluate(truth, rows, kind, limit, IOUS).eval
    overlaps = find_overlaps(truth, rows, kind, limit)
    for t, iou in enumerate(IOUS):
        for a, area in enumerate(AREAS.values()):
            found = curves(overlaps, match(overlaps, iou, area))
            for k, one in enumerate(found):
                precision, scores = (np.nan_to_num(v, nan=-1) for v in one.at_recalls())
                where = f"IoU {iou}, area {area}, class {k}"
                np.testing.assert_allclose(
                    precision, expected["precision"][t, :, k, a, 0], atol=1e-9, err_msg=where
                )
                # at recall 0 COCOeval names the first detection, even one that does not count
                np.testing.assert_array_equal(scores[1:], expected["scores"][t, 1:, k, a, 0], where)
                if one.num_objects:
                    highest = one.recall[-1] if len(one.recall) else 0
                    assert highest == pytest.approx(expected["recall"][t, k, a, 0]), where


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_objects_of_other_classes_as_crowd_regions(scene, kind):
    """As COCO's error analysis does it: other classes become crowd regions of this one."""
    truth, rows = Truth(scene.truth), ResultRows(scene.results)
    overlaps = find_overlaps(truth, rows, kind, 100, others_as_crowd=True)
    others = ~np.eye(len(truth.names), dtype=bool)
    found = curves(overlaps, match(overlaps, 0.1, ignore_other_classes=others))
    for k, category in enumerate(truth.category_ids.tolist()):
        changed = coco_evaluation.as_coco(truth, kind)
        for one in changed["annotations"]:
            if one["category_id"] != category:
                one |= {"category_id": category, "iscrowd": 1}
        these = [one for one in rows if one["category_id"] == category]
        others_ignored = Truth(changed | _masks(truth, changed))
        expected = coco_evaluation.evaluate(
            others_ignored, ResultRows(these), kind, 100, [0.1]
        ).eval
        precision = np.nan_to_num(found[k].at_recalls()[0], nan=-1)
        np.testing.assert_allclose(precision, expected["precision"][0, :, k, 0, 0], atol=1e-9)


def _masks(truth, changed):
    rows = [
        one | {"segmentation": m}
        for one, m in zip(changed["annotations"], truth.masks, strict=True)
    ]
    return {"annotations": rows}


def test_only_pairs_that_overlap_are_kept(empty_scene):
    scene = empty_scene(image_ids=(1, 2))
    scene.annotate(1, 1, [10, 10, 20, 20])
    scene.annotate(2, 1, [10, 10, 20, 20])
    scene.detect(1, 2, [10, 10, 20, 20], 0.5)
    scene.detect(1, 1, [100, 100, 20, 20], 0.6)
    found = find_overlaps(Truth(scene.truth), ResultRows(scene.results), "bbox")
    assert found.scores.tolist() == [0.6, 0.5]
    assert found.rows.tolist() == [1, 0]
    assert (found.detection.tolist(), found.object.tolist(), found.iou.tolist()) == (
        [1],
        [0],
        [1.0],
    )
    assert found.of_own_class.tolist() == [False]


def test_no_detections(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, [10, 10, 20, 20])
    found = find_overlaps(Truth(scene.truth), ResultRows(), "segm", 100)
    first = curves(found, match(found))[0]
    assert first.average_precision == 0
    assert np.isnan(curves(found, match(found))[1].average_precision)


def one_after_the_other(pairs, num_detections):
    """Object and fate of each detection; pairs [(detection, object, shared, ignored)] in order."""
    found, ignored = [-1] * num_detections, [False] * num_detections
    taken = set()
    for detection, target, shared, ignore in pairs:
        if found[detection] < 0 and (shared or target not in taken):
            found[detection], ignored[detection] = target, ignore
            if not shared:
                taken.add(target)
    return found, ignored


@pytest.mark.parametrize("seed", range(5))
def test_all_at_once_equals_one_after_the_other(seed):
    """Every detection wants nearly every object, some of which are shared."""
    random = np.random.default_rng(seed)
    wanted = random.random((60, 40)) < (0.9, 0.5, 0.2, 0.05, 0.0)[seed]
    detection, target = np.nonzero(wanted)
    shared = random.random(len(detection)) < 0.1
    order = np.lexsort((random.random(len(detection)), detection))
    columns = (
        detection[order],
        target[order],
        random.random(len(detection)),
        shared,
        shared & wanted[0, 0],
    )
    found, ignored = _assign(_Pairs(*columns), 60, 40)
    rows = zip(*(columns[i].tolist() for i in (0, 1, 3, 4)), strict=True)
    assert (found.tolist(), ignored.tolist()) == one_after_the_other(rows, 60)
    assert (found >= 0).sum() > 20 or not wanted.any() or seed == 3


def test_a_chain_of_wishes():
    """Each detection wants what the one before it got, then the next: as many rounds as detections."""
    detection = np.repeat(np.arange(50), 2)
    target = detection + np.tile([-1, 0], 50)
    target[0] = 0
    no = np.zeros(100, bool)
    found, _ = _assign(_Pairs(detection, target, np.ones(100), no, no), 50, 50)
    assert found.tolist() == list(range(50))


def test_several_ious_at_once(scene):
    truth, rows = Truth(scene.truth), ResultRows(scene.results)
    overlaps = find_overlaps(truth, rows, "bbox")
    for iou, found in zip((0.1, 0.5, 0.9), match_at(overlaps, (0.1, 0.5, 0.9)), strict=True):
        alone = match(overlaps, iou)
        np.testing.assert_array_equal(found.target, alone.target)
        np.testing.assert_array_equal(found.counts, alone.counts)
