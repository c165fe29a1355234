import json
import re

import cv2
import numpy as np
import pycocotools.mask as mask_util
import pytest
from detectron2.structures import BoxMode

from paddlex_maskrcnn.data.datasets import CocoDetection, DatasetError


def test_classes_are_in_order_of_category_id_with_gaps(tiny_coco):
    dataset = tiny_coco.open()
    assert dataset.labels == ["nut", "bolt"]
    assert dataset.category_ids == [3, 7]


def test_records_hold_what_the_file_says(tiny_coco):
    dataset = tiny_coco.open()
    assert dataset.num_samples == len(dataset.records) == len(dataset.file_list) == 4
    first = dataset.records[0]
    assert first["file_name"] == str(tiny_coco.data_dir / "1.png")
    assert (first["height"], first["width"], first["image_id"]) == (48, 64, 1)
    polygon = first["annotations"][0]
    assert polygon["bbox"] == [4, 4, 20, 26]
    assert polygon["bbox_mode"] == BoxMode.XYWH_ABS
    assert polygon["segmentation"] == [[4, 4, 24, 4, 24, 30, 4, 30]]
    assert (polygon["category_id"], polygon["iscrowd"], polygon["id"]) == (1, 0, 11)
    assert dataset.records[3]["annotations"] == []


def test_rle_is_compressed_and_crowd_marked(tiny_coco):
    dataset = tiny_coco.open()
    rle = dataset.records[1]["annotations"][1]["segmentation"]
    expected = np.zeros((64, 48), np.uint8)
    expected[36:60, 10:30] = 1
    np.testing.assert_array_equal(mask_util.decode(rle), expected)
    assert [a["iscrowd"] for a in dataset.records[2]["annotations"]] == [0, 1]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "is not json"),
        ("{", "is not json"),
        ("[1, 2]", "is not COCO json: a list instead of an object"),
        ("3", "is not COCO json: 3 instead of an object"),
        ("[" * 100_000, "is not json"),
        ('{"images": [], "annotations": []}', "missing key 'categories' (it has 'images', 'annot"),
        ('{"shapes": []}', "missing key 'images', 'annotations', 'categories' (it has 'shapes')"),
        (
            '{"images": {}, "annotations": [], "categories": []}',
            "'images' must be a list of",
        ),
        (
            '{"images": [1], "annotations": [], "categories": []}',
            "'images' must be a list of",
        ),
        ('{"images": [], "annotations": [], "categories": [{}]}', "'images' is empty"),
    ],
)
def test_not_coco(tiny_coco, text, fragment):
    tiny_coco.ann_file.write_text(text)
    with pytest.raises(DatasetError, match=re.escape(fragment)) as caught:
        tiny_coco.open()
    assert "instances.json" in str(caught.value)


def test_not_text(tiny_coco):
    tiny_coco.ann_file.write_bytes(b"\xff\xfe\xff\x00\x81")
    with pytest.raises(DatasetError, match="is not json"):
        tiny_coco.open()


def test_paths_that_do_not_exist(tiny_coco, tmp_path):
    with pytest.raises(DatasetError, match=r"data_dir '.*nowhere' is not a folder"):
        CocoDetection(str(tmp_path / "nowhere"), str(tiny_coco.ann_file))
    with pytest.raises(DatasetError, match=r"ann_file '.*nowhere\.json': missing"):
        CocoDetection(str(tiny_coco.data_dir), str(tmp_path / "nowhere.json"))


def test_a_subfolder_in_file_name_is_fine(tiny_coco):
    (tiny_coco.data_dir / "part..one").mkdir()
    cv2.imwrite(str(tiny_coco.data_dir / "part..one" / "4.png"), np.zeros((40, 40, 3), np.uint8))
    tiny_coco.image(4)["file_name"] = "part..one/../part..one/4.png"
    tiny_coco.ann_file.write_text(json.dumps(tiny_coco.content))
    assert tiny_coco.open().records[3]["file_name"].endswith("part..one/4.png")


def test_names_written_on_windows_are_found(tiny_coco):
    for image in tiny_coco.content["images"]:
        image["file_name"] = f"images\\{image['file_name']}"
    tiny_coco.save()
    dataset = CocoDetection(tiny_coco.data_dir.parent, tiny_coco.ann_file)
    assert [len(record["annotations"]) for record in dataset.records] == [2, 2, 2, 0]


@pytest.mark.parametrize(
    "name", ["C:\\data\\1.png", "D:/1.png", "..\\..\\1.png", "\\\\server\\share\\1.png", "\\1.png"]
)
def test_names_of_another_computer_are_not_followed(tiny_coco, name):
    tiny_coco.image(1)["file_name"] = name
    tiny_coco.save()
    with pytest.raises(DatasetError, match="file name that leaves the data's folder"):
        tiny_coco.open()


@pytest.mark.parametrize("given", ["above", "below"])
def test_a_folder_too_high_or_too_low_is_told_the_right_one(tiny_coco, given):
    right = tiny_coco.data_dir
    (right / "empty").mkdir()
    wrong = right.parent if given == "above" else right / "empty"
    with pytest.raises(DatasetError) as caught:
        CocoDetection(wrong, tiny_coco.ann_file)
    assert "4 x missing image" in str(caught.value)
    assert f"the first one is there with data_dir '{right}'" in str(caught.value)


def test_one_missing_picture_says_nothing_of_other_folders(tiny_coco):
    (tiny_coco.data_dir / "1.png").rename(tiny_coco.data_dir.parent / "1.png")
    with pytest.raises(DatasetError, match="check data_dir first"):
        tiny_coco.open()
