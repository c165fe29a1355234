"""Packed rows give back what was put in, in little memory."""

import pickle
import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from paddlex_maskrcnn.metrics.results import ResultRows


def test_gives_back_what_was_put_in(scene):
    rows = ResultRows(scene.results)
    assert list(rows) == scene.results
    assert rows[-1] == scene.results[-1]
    assert rows[2:4] == scene.results[2:4]
    with pytest.raises(IndexError):
        rows[len(rows)]
    assert rows.has_masks
    np.testing.assert_array_equal(rows.boxes, [one["bbox"] for one in scene.results])
    np.testing.assert_array_equal(rows.scores, [one["score"] for one in scene.results])
    np.testing.assert_array_equal(rows.image_ids, [one["image_id"] for one in scene.results])
    np.testing.assert_array_equal(rows.category_ids, [one["category_id"] for one in scene.results])


@pytest.mark.parametrize(("kind", "dropped"), [("bbox", "segmentation"), ("segm", "bbox")])
def test_of_kind(scene, kind, dropped):
    expected = [{k: v for k, v in one.items() if k != dropped} for one in scene.results]
    assert ResultRows(scene.results).of_kind(kind) == expected


def test_rows_of_boxes_and_rows_of_masks(scene):
    rows = ResultRows(
        {k: v for k, v in one.items() if k != "segmentation"} for one in scene.results
    )
    assert not rows.has_masks
    assert "segmentation" not in rows[0]
    masks = [{k: v for k, v in one.items() if k != "bbox"} for one in scene.results]
    around = [coco_mask.toBbox(one["segmentation"]).tolist() for one in masks]
    assert [one["bbox"] for one in ResultRows(masks)] == around


def test_joined_and_pickled(scene):
    parts = [ResultRows(scene.results[:3]), ResultRows(), ResultRows(scene.results[3:])]
    whole = ResultRows.joined(pickle.loads(pickle.dumps(parts)))
    assert list(whole) == scene.results
    assert list(ResultRows.joined([])) == []
    assert ResultRows.of(whole) is whole


def test_a_detection_takes_a_third_of_what_a_dict_does(scene):
    def one_by_one():
        for _ in range(2000 // len(scene.results)):
            yield from pickle.loads(pickle.dumps(scene.results))  # as fresh as from a network

    def memory(keep) -> float:
        tracemalloc.start()
        kept = keep(one_by_one())
        size = tracemalloc.get_traced_memory()[0] / len(kept)
        tracemalloc.stop()
        return size

    packed, dicts = memory(ResultRows), memory(list)
    assert packed < 300, "bytes"
    assert packed < dicts / 3
