"""YOLO sets without a data.yaml: where labels are, the part of a picture, what classes are called."""

import json

import pytest

from paddlex_maskrcnn.data.datasets import DatasetError, YoloSegmentation
from paddlex_maskrcnn.data.datasets.yolo_folder import NUMBERS_AS_NAMES, has_labels, scan
from support.labelled_folders import CLASSES, write_pictures, yolo_lines

CLASSES_TXT = ("classes.txt", "\n".join(CLASSES))


def write(folder, pairs, names=CLASSES_TXT):
    """Pictures and label files by their names, and a file of class names."""
    for picture, labels in pairs:
        write_pictures(folder, [picture])
        (folder / labels).parent.mkdir(parents=True, exist_ok=True)
        (folder / labels).write_text(yolo_lines(["cat"]))
    if names:
        (folder / names[0]).write_text(names[1])


LAYOUTS = {
    "beside": [("a.png", "a.txt")],
    "beside in images": [("images/a.png", "images/a.txt")],
    "trees": [("images/a.png", "labels/a.txt")],
    "parts above": [("train/images/a.png", "train/labels/a.txt"), ("valid/b.png", "valid/b.txt")],
    "parts below": [
        ("images/train/a.png", "labels/train/a.txt"),
        ("images/val/b.png", "labels/val/b.txt"),
    ],
    "other names": [("photos/a.png", "masks as text/a.txt")],
    "cvat": [("obj_train_data/a.png", "obj_train_data/a.txt")],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, tmp_path):
    write(tmp_path, LAYOUTS[layout])
    write_pictures(tmp_path / "previews", ["c.png"] + ["a.png"] * (layout != "other names"))
    dataset = YoloSegmentation(tmp_path)
    assert dataset.labels == CLASSES
    assert [len(record["annotations"]) for record in dataset.records] == [1]
    if len(LAYOUTS[layout]) > 1:
        assert YoloSegmentation(tmp_path, "val").records[0]["file_name"].endswith("b.png")
    with pytest.raises(DatasetError, match=r"'test' must be a folder.*it has train"):
        YoloSegmentation(tmp_path, "test")


def test_pictures_without_a_label_file_are_empty(tmp_path):
    write(tmp_path, LAYOUTS["trees"])
    write_pictures(tmp_path / "images", ["b.png"])
    assert [len(record["annotations"]) for record in YoloSegmentation(tmp_path).records] == [1, 0]


@pytest.mark.parametrize(
    "names",
    [
        ("obj.names", "\r\n".join(CLASSES)),
        ("_darknet.labels", "\n".join(CLASSES)),
        (
            "notes.json",
            json.dumps({"categories": [{"id": k, "name": c} for k, c in enumerate(CLASSES)]}),
        ),
        ("names.yaml", f"nc: 4\nnames: {dict(enumerate(CLASSES))}"),
    ],
)
def test_class_names(names, tmp_path):
    write(tmp_path, LAYOUTS["trees"], names)
    assert YoloSegmentation(tmp_path).labels == CLASSES


def test_classes_without_names_are_called_by_their_numbers(tmp_path, caplog):
    write(tmp_path, LAYOUTS["beside"], None)
    assert YoloSegmentation(tmp_path).labels == ["0", "1", "2"]
    assert NUMBERS_AS_NAMES in caplog.text


def test_names_that_differ(tmp_path):
    write(tmp_path, LAYOUTS["trees"])
    (tmp_path / "obj.names").write_text("x\ny")
    with pytest.raises(DatasetError, match="name the classes differently"):
        YoloSegmentation(tmp_path)


def test_pictures_without_any_label_file(tmp_path):
    write_pictures(tmp_path, ["a.png", "b.png"])
    with pytest.raises(
        DatasetError, match=r"of its 2 pictures \(a.png, b.png\) none has one of the 0 txt"
    ):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (yolo_lines(["cat"]), True),
        ("0 0.5 0.5 0.1 0.1\n", True),
        ("", False),
        ("cat\ndog", False),
        ("1.5 0.5 0.5 0.1 0.1", False),
        ("0 50 50 10 10", False),
        ("0 0.5", False),
    ],
)
def test_what_label_files_look_like(text, expected, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    assert has_labels(tmp_path / "a.txt") == expected
