"""A data.yaml whose paths lead elsewhere means the folders beside it; each repair is counted."""

import pytest

from paddlex_maskrcnn.data.datasets import DatasetError, YoloSegmentation
from paddlex_maskrcnn.data.datasets.data_yaml import FOLDER_ELSEWHERE
from support.labelled_folders import CLASSES, write_pictures, yolo_lines


@pytest.fixture
def folder(tmp_path):
    """Roboflow's layout: train and valid with images and labels each."""
    for part, name in (("train", "a"), ("valid", "b")):
        write_pictures(tmp_path / "set" / part / "images", [f"{name}.png"])
        labels = tmp_path / "set" / part / "labels" / f"{name}.txt"
        labels.parent.mkdir()
        labels.write_text(yolo_lines(["cat"]))
    return tmp_path / "set"


def write(folder, text):
    (folder / "data.yaml").write_text(f"{text}\nnames: {CLASSES}\n")
    return folder / "data.yaml"


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        ("train: train/images\nval: valid/images", 0),
        ("path: .\ntrain: train/images\nval: valid/images", 0),
        ("train: ../train/images\nval: ../valid/images", 1),  # Roboflow
        ("path: /home/someone/datasets/set\ntrain: train/images\nval: valid/images", 1),
        ("path: ../datasets/set\ntrain: train/images\nval: valid/images", 1),
        ("train: /content/set/train/images\nval: /content/set/valid/images", 1),
        ("path: C:\\data\\set\ntrain: C:\\data\\set\\train\\images\nval: ..\\valid\\images", 2),
        ("path: /content\ntrain: /content/set/train/images\nval: /content/set/valid/images", 2),
    ],
)
def test_paths_of_another_place(text, repairs, folder, caplog):
    path = write(folder, text)
    for split, name in (("train", "a"), ("val", "b")):
        caplog.clear()
        dataset = YoloSegmentation(path, split)
        assert [record["file_name"][-5:] for record in dataset.records] == [f"{name}.png"]
        assert (f"{repairs} x {FOLDER_ELSEWHERE}" in caplog.text) == bool(repairs)


def test_what_is_nowhere(folder):
    path = write(folder, "train: ../pictures/all")
    with pytest.raises(
        DatasetError, match=r"there is no '.*pictures/all', nor an end of this path"
    ):
        YoloSegmentation(path)


def test_the_folder_of_a_data_yaml_is_that_set(folder):
    write(folder, "train: train/images")
    assert YoloSegmentation(folder).labels == CLASSES


def test_lists_with_a_folder_in_front(folder, caplog):
    """CVAT's lists begin with data/."""
    (folder / "train.txt").write_text("data/train/images/a.png\n")
    dataset = YoloSegmentation(write(folder, "train: train.txt"))
    assert dataset.num_samples == len(dataset.records[0]["annotations"]) == 1
    assert "matched with the file that is there" in caplog.text


def test_labels_beside_pictures_in_a_folder_called_images(tmp_path):
    write_pictures(tmp_path / "images", ["a.png", "b.png"])
    (tmp_path / "images/a.txt").write_text(yolo_lines(["cat"]))
    dataset = YoloSegmentation(write(tmp_path, "train: images"))
    assert [len(record["annotations"]) for record in dataset.records] == [1, 0]
