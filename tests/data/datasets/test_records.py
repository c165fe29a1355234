"""Packed records equal the list they were made of; ground truth and description say what is in them."""

import gc
import json

import numpy as np
import pytest
from pycocotools.coco import COCO

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


def test_ground_truth_equals_what_pycocotools_reads_from_the_file(tiny_coco, capsys):
    ours, theirs = tiny_coco.open().coco_gt, COCO(str(tiny_coco.ann_file))
    capsys.readouterr()
    assert ours.getImgIds() == theirs.getImgIds()
    assert sorted(ours.getCatIds()) == sorted(theirs.getCatIds())
    assert ours.getAnnIds() == theirs.getAnnIds()
    for number in theirs.getAnnIds():
        (a,), (b,) = ours.loadAnns(number), theirs.loadAnns(number)
        np.testing.assert_array_equal(ours.annToMask(a), theirs.annToMask(b))
        for key in ("bbox", "area", "iscrowd", "category_id", "image_id"):
            assert a[key] == b[key], key


def test_ground_truth_is_built_silently_and_once(tiny_coco, capsys):
    dataset = tiny_coco.open()
    assert dataset.coco_gt is dataset.coco_gt
    assert capsys.readouterr().out == ""


def test_evaluating_does_not_change_the_records(tiny_coco):
    dataset = tiny_coco.open()
    before = json.dumps(list(dataset.records))
    for annotation in dataset.coco_gt.dataset["annotations"]:
        annotation["ignore"] = 1
        annotation["bbox"][0] = -5
    assert json.dumps(list(dataset.records)) == before


def test_description_counts_everything(tiny_coco):
    text = tiny_coco.open().describe()
    for part in ("4 images", "5 objects", "2 classes", "1 crowd regions", "bolt 3, nut 2"):
        assert part in text
    assert "1 images without objects" in text
    assert "\n" not in text


def test_description_names_classes_without_objects(tiny_coco):
    tiny_coco.content["categories"].append({"id": 9, "name": "washer"})
    tiny_coco.save()
    assert "without objects: washer" in tiny_coco.open().describe()
