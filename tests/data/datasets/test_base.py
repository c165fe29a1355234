"""What every data set can do, and how a wrong argument of any class is named."""

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.config.dataset_params import DATASETS as ROWS
from paddlex_maskrcnn.data.datasets import DATASETS, CocoDetection, DatasetError


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
        ({"num_workers": -1}, r"CocoDetection\.num_workers is -1; allowed: >= 0"),
        ({"num_workers": "all"}, "num_workers is 'all'; allowed: a number >= 0 or 'auto'"),
        ({"num_workers": True}, "num_workers is True; allowed: a whole number or a text"),
        ({"transforms": []}, r"CocoDetection\.transforms is \[\]; a Compose or None is needed"),
        ({"shuffle": 1}, "shuffle is 1; allowed: true or false"),
        ({"skip_invalid": "yes"}, "skip_invalid is 'yes'; allowed: true or false"),
    ],
)
def test_mistakes_in_arguments(tiny_coco, arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        tiny_coco.open(**arguments)


def test_every_class_has_rows_and_every_row_a_class():
    assert DATASETS.keys() == ROWS.keys()


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "Joined"])
def test_a_wrong_argument_of_any_class_is_named_with_class_value_and_what_is_allowed(name):
    """Before any file is looked for."""
    with pytest.raises(ValueError, match="is not a known key") as caught:
        DATASETS[name]("gone", num_workers=-1, shuffle="yes", shufle=1)
    assert f"{name}.num_workers is -1; allowed: >= 0" in str(caught.value)
    assert f"{name}.shuffle is 'yes'; allowed: true or false" in str(caught.value)
    assert f"{name}.shufle is not a known key; did you mean 'shuffle'?" in str(caught.value)


def test_a_missing_argument_is_named(tiny_coco):
    with pytest.raises(ValueError, match=r"CocoDetection\.ann_file is missing; it has no default"):
        CocoDetection(tiny_coco.data_dir)


def test_junk_is_no_negative_sample(tiny_coco, tmp_path):
    folder = tmp_path / "background"
    folder.mkdir()
    for name in ("a.png", "._a.png", ".hidden.png"):
        cv2.imwrite(str(folder / name), np.zeros((20, 10), np.uint8))
    (folder / "._b.png").write_bytes(b"\0\5\x16\7")
    dataset = tiny_coco.open()
    dataset.add_negative_samples(folder)
    assert dataset.num_samples == 5


def test_data_without_an_object_is_not_trained_on(tiny_coco, caplog):
    tiny_coco.open().require_objects()
    for annotation in tiny_coco.content["annotations"]:
        annotation["iscrowd"] = 1
    tiny_coco.save()
    with pytest.raises(
        DatasetError, match="no object to learn: all 6 annotations are crowd regions"
    ):
        tiny_coco.open().require_objects()
    tiny_coco.annotation(11)["iscrowd"] = 0
    tiny_coco.save()
    assert not caplog.records
    dataset = tiny_coco.open()
    dataset.require_objects()
    assert "5 of 6 annotations are crowd regions" in caplog.text
    tiny_coco.content["annotations"] = []
    tiny_coco.save()
    with pytest.raises(DatasetError, match="none of the 4 images has an annotation"):
        tiny_coco.open().require_objects()
