"""Pairs against every detection beside every object of its image, one at a time."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from paddlex_maskrcnn.metrics import overlaps as overlaps_module
from paddlex_maskrcnn.metrics.overlaps import LEAST, complete, find_overlaps
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth


def one_at_a_time(found, own_class, others_as_crowd, least):
    """[(detection, object, IoU)], as COCO defines it."""
    truth, rows, pairs = found.truth, found.results, []
    for d, row in enumerate(found.rows.tolist()):
        for o in np.flatnonzero(truth.images == found.images[d]).tolist():
            other = truth.classes[o] != found.classes[d]
            over_own = [int(truth.crowd[o] or (others_as_crowd and other))]
            if found.kind == "segm":
                iou = coco_mask.iou([rows.mask(row)], [truth.masks[o]], over_own)[0, 0]
            else:
                iou = coco_mask.iou(rows.boxes[row : row + 1], truth.boxes[o : o + 1], over_own)[
                    0, 0
                ]
            if iou >= least and not (own_class and other):
                pairs.append((d, o, iou))
    return pairs


def pairs_of(found):
    return list(
        zip(found.detection.tolist(), found.object.tolist(), found.iou.tolist(), strict=True)
    )


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize(
    ("others_as_crowd", "least"), [(False, LEAST), (True, LEAST), (False, 0.5)]
)
def test_equals_one_pair_at_a_time(make_scene, kind, others_as_crowd, least):
    scene = make_scene(3, num_images=6, objects=12)
    truth, rows = Truth(scene.truth), ResultRows(scene.results)
    found = find_overlaps(truth, rows, kind, others_as_crowd=others_as_crowd, least=least)
    assert pairs_of(found) == one_at_a_time(found, False, others_as_crowd, least)
    assert len(pairs_of(found)) > 10
    assert found.least == least
    assert complete(found) is found


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("least", [LEAST, 0.5])
@pytest.mark.parametrize(("call", "splits"), [(0, 4), (20, 2), (10_000, 0)])
def test_own_class_first_and_the_others_later(make_scene, monkeypatch, kind, least, call, splits):
    """Images compared class by class, some so and some so, and whole."""
    monkeypatch.setattr(overlaps_module, "_PAIRS_OF_A_CALL", call)
    scene = make_scene(3, num_images=6, objects=12)
    truth, rows = Truth(scene.truth), ResultRows(scene.results)
    found = find_overlaps(truth, rows, kind, own_class_first=True, least=least)
    assert found.split.sum() == splits
    own = [pair for pair in pairs_of(found) if found.classes[pair[0]] == truth.classes[pair[1]]]
    assert own == one_at_a_time(found, True, False, least)
    others = [pair for pair in pairs_of(found) if pair not in own]
    assert not any(found.split[truth.images[target]] for _, target, _ in others)
    whole = complete(found)
    assert not whole.split.any()
    assert pairs_of(whole) == one_at_a_time(found, False, False, least)
    assert len(pairs_of(whole)) > len(own) > 10


def test_areas(scene):
    truth, rows = Truth(scene.truth), ResultRows(scene.results)
    found = find_overlaps(truth, rows, "segm")
    assert found.areas.tolist() == [coco_mask.area(rows.mask(i)) for i in found.rows.tolist()]
    found = find_overlaps(truth, rows, "bbox")
    assert found.areas.tolist() == [w * h for _, _, w, h in rows.boxes[found.rows].tolist()]


def test_of_other_classes_nothing_is_compared_in_crowded_images(empty_scene, monkeypatch):
    """Twice the classes, half the pairs: the cost does not grow with all pairs of an image."""
    compared = []

    def counted(one, other, crowd):
        compared.append(len(one) * len(other))
        return np.zeros((len(one), len(other)))

    monkeypatch.setattr(overlaps_module.coco_mask, "iou", counted)
    for classes in (1, 2, 4, 8):
        scene = empty_scene(category_ids=range(1, classes + 1))
        for n in range(64):
            scene.annotate(1, n % classes + 1, [n, n, 8, 8])
            scene.detect(1, n % classes + 1, [n, n, 8, 8], 0.5)
        truth, rows = Truth(scene.truth), ResultRows(scene.results)
        compared.clear()
        found = find_overlaps(truth, rows, "bbox", own_class_first=True)
        assert sum(compared) == 64 * 64 // classes
        compared.clear()
        complete(found)
        assert compared == ([64 * 64] if classes > 1 else [])
