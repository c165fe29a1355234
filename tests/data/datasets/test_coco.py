import json

import numpy as np
import pycocotools.mask as mask_util
import pytest
from detectron2.structures import BoxMode
from PIL import Image
from pycocotools.coco import COCO

from paddlex_maskrcnn.data.datasets import CocoDetection
from paddlex_maskrcnn.data.mapper import TrainMapper
from paddlex_maskrcnn.data.transforms import Compose, RandomHorizontalFlip


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


def test_missing_crowd_area_and_box_are_worked_out(tiny_coco, caplog):
    for key in ("iscrowd", "area", "bbox"):
        del tiny_coco.annotation(11)[key]
    tiny_coco.save()
    annotation = tiny_coco.open().records[0]["annotations"][0]
    assert annotation["bbox"] == [4, 4, 20, 26]
    assert annotation["area"] == 20 * 26
    assert annotation["iscrowd"] == 0
    assert "1 x annotation without bbox, taken from its mask: annotation 11" in caplog.text


def test_box_over_the_border_is_cut_and_noted_beyond_one_pixel(tiny_coco, caplog):
    tiny_coco.annotation(11)["bbox"] = [-0.5, 4, 20, 26]
    tiny_coco.annotation(12)["bbox"] = [50, 30, 40.5, 60]
    tiny_coco.save()
    first, second = tiny_coco.open().records[0]["annotations"]
    assert first["bbox"] == [0, 4, 19.5, 26]
    assert second["bbox"] == [50, 30, 14, 18]
    assert "1 x box partly outside the image, cut at its border: annotation 12" in caplog.text
    assert "annotation 11" not in caplog.text


def test_num_samples_limits_images_and_ground_truth(tiny_coco):
    dataset = tiny_coco.open()
    assert len(dataset.coco_gt.getImgIds()) == 4
    dataset.set_num_samples(2)
    assert dataset.num_samples == len(dataset.records) == 2
    assert dataset.coco_gt.getImgIds() == [1, 2]
    for bad in (0, 5, "2", None):
        with pytest.raises(ValueError, match="from 1 to 4"):
            dataset.set_num_samples(bad)


def test_negative_samples_train_and_count_as_empty_images(tiny_coco, tmp_path):
    import cv2

    folder = tmp_path / "background"
    folder.mkdir()
    cv2.imwrite(str(folder / "b.jpg"), np.zeros((30, 50, 3), np.uint8))
    cv2.imwrite(str(folder / "a.PNG"), np.zeros((20, 10), np.uint8))
    (folder / "notes.txt").write_text("not a picture")
    dataset = tiny_coco.open()
    assert dataset.coco_gt.getImgIds() == [1, 2, 3, 4]
    dataset.add_negative_samples(str(folder))
    assert dataset.num_samples == 6
    assert [r["image_id"] for r in dataset.records[4:]] == [5, 6]
    assert [(r["height"], r["width"]) for r in dataset.records[4:]] == [(20, 10), (30, 50)]
    assert dataset.records[5]["file_name"] == str(folder / "b.jpg")
    assert dataset.coco_gt.getImgIds() == [1, 2, 3, 4, 5, 6]


def test_negative_samples_that_are_none(tiny_coco, tmp_path):
    dataset = tiny_coco.open()
    with pytest.raises(ValueError, match="is not a folder"):
        dataset.add_negative_samples(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        dataset.add_negative_samples(tmp_path / "empty")
    (tmp_path / "empty" / "broken.jpg").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"1 unreadable images .*broken\.jpg"):
        dataset.add_negative_samples(tmp_path / "empty")
    assert dataset.num_samples == 4


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


def test_arguments_of_paddlex_scripts_are_accepted_with_one_note(tiny_coco, caplog):
    paths = str(tiny_coco.data_dir), str(tiny_coco.ann_file)
    CocoDetection(*paths, None, "auto", 100, "process", False)
    assert not caplog.records
    CocoDetection(*paths, None, 4, 8, "thread", True)
    assert len(caplog.records) == 1
    assert "buffer_size and parallel_method have no effect" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"num_workers": -1}, "num_workers must be 'auto' or an integer >= 0, got -1"),
        ({"num_workers": "all"}, "num_workers must be"),
        ({"num_workers": True}, "num_workers must be"),
        ({"transforms": []}, r"transforms must be a Compose \(or None\), got \[\]"),
        ({"shuffle": 1}, "shuffle must be True or False"),
        ({"skip_invalid": "yes"}, "skip_invalid must be True or False"),
    ],
)
def test_mistakes_in_arguments(tiny_coco, arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        tiny_coco.open(**arguments)


@pytest.mark.parametrize("drawn_on", ["stored", "upright"])
def test_rotated_photographs_keep_pixels_and_polygons_together(tiny_coco, drawn_on):
    """The json's sizes say which pixels the polygons were drawn on; those are read."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[4:30, 4:24] = (0, 0, 250)  # annotation 11 of image 1
    exif = Image.Exif()
    exif[274] = 6  # taken with the camera on its side
    stored = pixels if drawn_on == "stored" else np.rot90(pixels)
    Image.fromarray(stored).save(tiny_coco.data_dir / "1.png", exif=exif)
    dataset = tiny_coco.open()
    mapper = TrainMapper(Compose([RandomHorizontalFlip(0.0)]), "RGB", 3, 0)
    sample = mapper(dataset.records[0], 0, 0)
    np.testing.assert_array_equal(sample["image"].numpy().transpose(1, 2, 0), pixels)
    box = sample["instances"].gt_boxes.tensor[0].tolist()
    assert box == [4, 4, 24, 30]
