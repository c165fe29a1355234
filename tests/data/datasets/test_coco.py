import json
import re
import shutil

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
    with pytest.raises(DatasetError, match="damaged UTF-16 text, or no text"):
        tiny_coco.open()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_marked_text_and_utf_16_are_read(tiny_coco, encoding):
    tiny_coco.content["categories"][0]["name"] = "\u82f9\u679c"
    text = json.dumps(tiny_coco.content, ensure_ascii=False)
    tiny_coco.ann_file.write_bytes(text.encode(encoding))
    assert "\u82f9\u679c" in tiny_coco.open().labels


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


@pytest.mark.parametrize("name", ["..\\..\\1.png", "../1.png", "/etc/hostname", "/etc/../1.png\0"])
def test_names_that_lead_elsewhere_are_not_followed(tiny_coco, name):
    tiny_coco.image(1)["file_name"] = name
    tiny_coco.save()
    with pytest.raises(DatasetError, match="file name that leaves the data's folder"):
        tiny_coco.open()


def test_what_is_there_instead_of_a_name_that_leads_elsewhere_is_said(tiny_coco):
    tiny_coco.image(1)["file_name"] = "../gone/1.png"
    tiny_coco.image(2)["file_name"] = "2.jpg"
    tiny_coco.save()
    with pytest.raises(DatasetError) as caught:
        tiny_coco.open()
    assert "image 1 ('../gone/1.png'); there is 1.png in the folder" in str(caught.value)
    assert "image 2 ('2.jpg'); there is 2.png in the folder" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "1.PNG", "%31.png", "images/1.png", "C:\\data\\1.png", "D:/1.png", "\\1.png",
        "\\\\server\\images\\1.png", "/data/upload/7/0a1b2c3d-1.png", "FOLDER/1.png",
        "/data/local-files/?d=1.png",
    ],
)  # fmt: skip
def test_names_written_otherwise_are_found_and_counted(tiny_coco, caplog, name):
    tiny_coco.image(1)["file_name"] = name.replace("FOLDER", str(tiny_coco.data_dir))
    tiny_coco.save()
    record = tiny_coco.open().records[0]
    assert record["file_name"] == str(tiny_coco.data_dir / "1.png")
    assert len(record["annotations"]) == 2
    assert "1 x file name that is not written as the file's place" in caplog.text


def test_a_picture_that_two_names_lead_to_stops(tiny_coco):
    shutil.copy(tiny_coco.data_dir / "1.png", tiny_coco.data_dir / "5.png")
    tiny_coco.content["images"].append({**tiny_coco.image(1), "id": 5, "file_name": "images/1.png"})
    tiny_coco.save()
    with pytest.raises(DatasetError, match=r"1 x picture that two names lead to: image 5"):
        tiny_coco.open()


def test_ids_and_sizes_as_text_or_floats_are_numbers(tiny_coco, caplog):
    expected = list(tiny_coco.open().records)
    for image in tiny_coco.content["images"]:
        image.update(
            id=str(image["id"]), height=float(image["height"]), width=f"{image['width']}.0"
        )
    for annotation in tiny_coco.content["annotations"]:
        annotation.update(id=str(annotation["id"]), category_id=float(annotation["category_id"]))
    tiny_coco.save()
    dataset = tiny_coco.open()
    assert list(dataset.records) == expected
    assert "24 x number or truth value written as text or with a decimal point" in caplog.text


def test_categories_that_are_none_are_left_out_with_their_annotations(tiny_coco, caplog):
    before = tiny_coco.open()
    tiny_coco.content["categories"] += [
        {"id": 0, "name": "_background_"},
        {"id": 5, "name": "__ignore__"},
    ]
    more = {**tiny_coco.annotation(11), "id": 99, "category_id": 5}
    tiny_coco.content["annotations"].append(more)
    tiny_coco.save()
    dataset = tiny_coco.open()
    assert (dataset.labels, dataset.category_ids) == (before.labels, before.category_ids)
    assert list(dataset.records) == list(before.records)
    assert "annotation 99; category 0; category 5" in caplog.text
    tiny_coco.content["categories"] = [{"id": 0, "name": "_background_"}]
    tiny_coco.save()
    with pytest.raises(DatasetError, match="'categories' names no class"):
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
