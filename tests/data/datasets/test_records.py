"""Packed records equal the list they were made of."""

import gc

import numpy as np
import pytest

from paddlex_maskrcnn.data.datasets.records import PackedRecords


def record(number, classes):
    annotations = [
        {
            "category_id": k,
            "iscrowd": int(k == 2),
            "bbox": [0.1, 2, 3, 4],
            "segmentation": [[1, 2.5]],
        }
        for k in classes
    ]
    size = {"height": 10 + number, "width": 20}
    return {"file_name": f"{number}.png", "image_id": number, **size, "annotations": annotations}


RECORDS = [record(k, classes) for k, classes in enumerate([[0, 1], [], [2], [1, 1, 1], [0]])]


def same(packed, expected):
    assert list(packed) == expected
    assert len(packed) == len(expected)
    flat = [one for one_record in expected for one in one_record["annotations"]]
    assert packed.sizes.tolist() == [[one["height"], one["width"]] for one in expected]
    assert packed.num_objects.tolist() == [len(one["annotations"]) for one in expected]
    assert packed.classes.tolist() == [one["category_id"] for one in flat]
    assert packed.is_crowd.tolist() == [one["category_id"] == 2 for one in flat]


def test_items_and_columns():
    same(PackedRecords(iter(RECORDS)), RECORDS)
    same(PackedRecords(), [])


@pytest.mark.parametrize(
    "part", [slice(None), slice(1, 4), slice(3, 1), slice(-2, None), slice(0, 5, 2)]
)
def test_parts(part):
    same(PackedRecords(RECORDS)[part], RECORDS[part])
    same(PackedRecords(RECORDS)[1:][part], RECORDS[1:][part])


def test_parts_are_views():
    packed = PackedRecords(RECORDS)
    assert np.shares_memory(packed[1:4]._bytes, packed._bytes)


def test_sums():
    packed = PackedRecords(RECORDS)
    same(
        packed[:2] + packed[3:] + PackedRecords([RECORDS[2]]),
        RECORDS[:2] + RECORDS[3:] + [RECORDS[2]],
    )


def test_positions():
    packed = PackedRecords(RECORDS)
    assert packed[-1] == RECORDS[-1]
    assert packed[np.int64(2)] == RECORDS[2]
    for position in (5, -6):
        with pytest.raises(IndexError):
            packed[position]


def test_each_access_makes_a_new_dict():
    packed = PackedRecords(RECORDS)
    packed[0]["annotations"].clear()
    assert packed[0] == RECORDS[0]


def test_no_python_object_a_record_stays():
    """What a garbage collector of a worker process would touch, and so copy."""
    gc.collect()
    before = len(gc.get_objects())
    packed = PackedRecords(record(k, [0, 1]) for k in range(1000))
    gc.collect()
    assert len(gc.get_objects()) - before < 100
    assert packed.nbytes < 1000 * 600
