"""YOLO segmentation sets: yaml, lists and label files as people have them, what is wrong named."""

import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import DatasetError, YoloSegmentation
from support.yaml_bombs import BOMBS, bounded

WIDTH, HEIGHT = 80, 40
SQUARE = "0.25 0.25 0.5 0.25 0.5 0.75 0.25 0.75"  # x 20 to 40, y 10 to 30


class TinyYolo:
    """Two pictures in images/train, the first with a line of class 1."""

    def __init__(self, folder):
        self.folder = folder
        for part in ("images", "labels"):
            (folder / part / "train").mkdir(parents=True)
        for name in ("a", "b"):
            Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "images/train" / f"{name}.png")
        self.write_yaml("train: images/train\nnames: [cat, dog]\n")
        self.write_lines(f"1 {SQUARE}\n")

    def write_yaml(self, text):
        (self.folder / "data.yaml").write_text(text)

    def write_lines(self, text, name="a"):
        (self.folder / "labels/train" / f"{name}.txt").write_text(text)

    def open(self, **arguments):
        return YoloSegmentation(self.folder / "data.yaml", num_workers=0, **arguments)


@pytest.fixture
def yolo(tmp_path):
    return TinyYolo(tmp_path / "yolo")


def test_outlines_classes_and_empty_images(yolo, caplog):
    dataset = yolo.open()
    assert not caplog.records
    assert (dataset.labels, dataset.category_ids) == (["cat", "dog"], [1, 2])
    (one,) = dataset.records[0]["annotations"]
    assert one["segmentation"] == [[20, 10, 40, 10, 40, 30, 20, 30]]
    assert (one["bbox"], one["area"], one["category_id"]) == ([20, 10, 20, 20], 400, 1)
    assert dataset.records[1]["annotations"] == []


@pytest.mark.parametrize(
    "text",
    [
        "path: PATH\ntrain: images/train\nnames: {0: cat, 1: dog}",
        "path: .\ntrain: [images/train]\nnc: 2\nnames: [cat, dog]",
        "train: ../images/train\nnames: [cat, dog]",
        "train: list.txt\nnames: [cat, dog]",
        "path: ../gone\ntrain: images/train\nnames: [cat, dog]",
        "train: images\nnames: {1: dog, 0: cat}",
    ],
)
def test_ways_to_say_where_pictures_are(yolo, text):
    """Absolute and relative roots, lists of folders, Roboflow's '../', list files, folders above."""
    (yolo.folder / "list.txt").write_text("./images/train/a.png\nimages\\train\\b.png\n")
    yolo.write_yaml(text.replace("PATH", str(yolo.folder)))
    dataset = yolo.open()
    assert dataset.labels == ["cat", "dog"]
    assert [len(record["annotations"]) for record in dataset.records] == [1, 0]


def test_numbers_of_classes_may_have_gaps(yolo):
    yolo.write_yaml("train: images/train\nnames: {7: dog, 3: cat}")
    yolo.write_lines(f"7 {SQUARE}")
    dataset = yolo.open()
    assert (dataset.labels, dataset.category_ids) == (["cat", "dog"], [4, 8])
    assert dataset.records[0]["annotations"][0]["category_id"] == 1


def test_bridges_of_no_width_give_holes_and_parts(yolo):
    """One outline around a square with a hole and, over a bridge, a second square."""
    outline = [(8, 8), (8, 24), (24, 24), (24, 8), (8, 8)]
    hole = [(12, 12), (20, 12), (20, 20), (12, 20), (12, 12)]
    second = [(40, 8), (40, 16), (48, 16), (48, 8), (40, 8)]
    points = [*outline, *hole, (8, 8), *second, (8, 8)]
    numbers = " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in points)
    yolo.write_lines(f"0 {numbers}")
    (one,) = yolo.open().records[0]["annotations"]
    mask = mask_util.decode(mask_util.frPyObjects(one["segmentation"], HEIGHT, WIDTH))[..., 0]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[8:24, 8:24] = expected[8:16, 40:48] = 1
    expected[12:20, 12:20] = 0
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("digits", [9, 12, 17])
def test_tenths_of_pixels_come_back_exactly(yolo, digits):
    """A last bit too few, and drawing rounds to the next pixel."""
    xs, ys = (
        np.arange(1, 79, 0.7).round(1),
        np.arange(1, 39, 0.3).round(1)[: len(np.arange(1, 79, 0.7))],
    )
    numbers = np.stack([xs / WIDTH, ys / HEIGHT], axis=1).reshape(-1)
    yolo.write_lines("0 " + " ".join(f"{number:.{digits}g}" for number in numbers))
    (one,) = yolo.open().records[0]["annotations"]
    assert one["segmentation"][0][0::2] == xs.tolist()
    assert one["segmentation"][0][1::2] == ys.tolist()


def test_rotated_photographs_are_measured_upright(yolo):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(yolo.folder / "images/train/a.png", exif=exif)
    record = yolo.open().records[0]
    assert (record["height"], record["width"]) == (WIDTH, HEIGHT)
    assert record["annotations"][0]["bbox"] == [10, 20, 10, 40]


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("0 0.5 0.5 0.2 0.2", "line with a box instead of an outline: train/a.txt line 2"),
        (
            "0 0.1 0.1 0.2 0.2 0.3",
            "line that is not 'class x1 y1 x2 y2 x3 y3 ...': train/a.txt line 2",
        ),
        ("0 0.1 0.1 0.2 x 0.3 0.3", "line that is not 'class x1"),
        ("0", "line that is not 'class x1"),
        ("0 20 10 40 10 40 30", "not in fractions of the image's sides: train/a.txt line 2: 40"),
        (
            "0 nan 0.1 0.2 0.2 0.3 0.3",
            "not in fractions of the image's sides: train/a.txt line 2: nan",
        ),
        (
            "0 0.1 0.1 0.1 0.1 0.1 0.1",
            "mask without a single pixel in the image: train/a.txt line 2",
        ),
    ],
)
def test_lines_that_cannot_be_used(yolo, line, fragment):
    yolo.write_lines(f"1 {SQUARE}\n{line}\n\n")
    with pytest.raises(DatasetError) as caught:
        yolo.open()
    assert fragment in str(caught.value)
    dataset = yolo.open(skip_invalid=True)
    assert [len(record["annotations"]) for record in dataset.records] == [1, 0]


@pytest.mark.parametrize("number", ["2", "-1", "0.5", "1e30"])
def test_classes_without_a_name(yolo, number):
    yolo.write_lines(f"{number} {SQUARE}")
    with pytest.raises(DatasetError, match=r"not in the yaml's names: train/a\.txt line 1"):
        yolo.open(skip_invalid=True)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "it has no 'names'"),
        ("names: [", "is not YAML"),
        ("names: 3\ntrain: images", "'names' must be a list or a mapping, got 3"),
        ("names: []\ntrain: images", "'names' must name classes"),
        ("names: [a, a]\ntrain: images", "'names' must name classes, each once"),
        ("names: &a [*a]\ntrain: images", "a value contains itself"),
        ("names: {a: b}\ntrain: images", "'a': 'b' is no class"),
        ("names: [a]\nnc: 2\ntrain: images", "'nc' is 2, but 'names' has 1 classes"),
        (
            "names: [a]\nval: images",
            "'train' must be a folder, a list file, or a list of them, got None",
        ),
        ("names: [a]\ntrain: gone", "train: there is no "),
        ("names: [a]\ntrain: labels", "no pictures in train: labels"),
        ("names: [a]\npath: nowhere\ntrain: im", "'path' is 'nowhere', but there is no folder"),
        ("names: [a]\npath: 3\ntrain: im", "'path' must be a folder, got 3"),
        (
            "names: [a]\ntrain: list.txt",
            "file name that leaves the data's folder: list.txt line 1: '../x",
        ),
    ],
)
def test_yaml_that_is_none(yolo, text, fragment):
    (yolo.folder / "list.txt").write_text("../x.png\n")
    yolo.write_yaml(text)
    with pytest.raises(DatasetError) as caught:
        yolo.open()
    assert fragment in str(caught.value)
    assert "data.yaml" in str(caught.value)


def test_pictures_without_a_single_label_file_stop(yolo):
    (yolo.folder / "labels/train/a.txt").unlink()
    with pytest.raises(
        DatasetError, match=r"2 pictures but not one label file; the first .*a\.txt"
    ):
        yolo.open()


def test_no_yaml(tmp_path):
    with pytest.raises(DatasetError, match=r"data_yaml '.*data\.yaml': missing"):
        YoloSegmentation(tmp_path / "data.yaml")


@pytest.mark.parametrize("name", BOMBS)
def test_a_yaml_that_stands_for_too_much(yolo, name):
    yolo.write_yaml(f"train: images/train\nnames: [cat, dog]\n{BOMBS[name]}")
    with bounded(), pytest.raises(DatasetError, match=r"data\.yaml is not YAML") as caught:
        yolo.open()
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("text", ["names: {{1: {}}}", "names: [[{}]]", "names: [a]\npath: [{}]"])
def test_messages_repeat_the_start_of_a_value_only(yolo, text):
    yolo.write_yaml("train: images/train\n" + text.format("[" + "[1, 2, x], " * 2_000 + "]"))
    with bounded(), pytest.raises(DatasetError) as caught:
        yolo.open()
    assert len(str(caught.value)) < 1_000


def test_thousands_of_classes(yolo):
    names = "\n".join(f"  {k}: class {k}" for k in range(3_000))
    yolo.write_yaml(f"train: images/train\nnames:\n{names}\n")
    assert len(yolo.open().labels) == 3_000


def test_junk_is_no_picture(yolo):
    hidden = yolo.folder / "images/train/.ipynb_checkpoints"
    hidden.mkdir()
    for path in (hidden / "a-checkpoint.png", yolo.folder / "images/train/._a.png"):
        path.write_bytes((yolo.folder / "images/train/a.png").read_bytes())
    assert yolo.open().num_samples == 2
    # what a list names is the user's word
    (yolo.folder / "list.txt").write_text(
        "images/train/.ipynb_checkpoints/a-checkpoint.png\n./images/train/a.png\n"
    )
    yolo.write_yaml("train: list.txt\nnames: [cat, dog]\n")
    assert yolo.open().num_samples == 2


def test_labels_written_in_another_case_or_form_of_letters_are_found(yolo, caplog):
    """Without a look at them the pictures would train as empty ones."""
    (yolo.folder / "labels/train/a.txt").rename(yolo.folder / "labels/train/A.txt")
    Image.new("RGB", (WIDTH, HEIGHT)).save(yolo.folder / "images/train/mo\u0308we.png")
    yolo.write_lines(f"0 {SQUARE}\n", "m\u00f6we")
    assert [len(record["annotations"]) for record in yolo.open().records] == [1, 0, 1]
    assert "2 x file name that is not written as the file's place" in caplog.text


def test_labels_of_another_picture_are_not_taken(yolo):
    Image.new("RGB", (WIDTH, HEIGHT)).save(yolo.folder / "images/train/A.png")
    assert [len(record["annotations"]) for record in yolo.open().records] == [0, 1, 0]


def test_lists_of_another_computer(yolo, caplog):
    (yolo.folder / "list.txt").write_text("/gone/yolo/images/train/a.png\nimages/train/B.PNG\n")
    yolo.write_yaml("train: list.txt\nnames: [cat, dog]\n")
    assert [len(record["annotations"]) for record in yolo.open().records] == [1, 0]
    assert "2 x file name that is not written as the file's place" in caplog.text


def test_names_that_are_no_classes_keep_the_numbers_of_the_others(yolo, caplog):
    yolo.write_yaml("train: images/train\nnc: 3\nnames: [_background_, cat, dog]\n")
    yolo.write_lines(f"0 {SQUARE}\n2 {SQUARE}\n")
    dataset = yolo.open()
    assert (dataset.labels, dataset.category_ids) == (["cat", "dog"], [2, 3])
    assert [one["category_id"] for one in dataset.records[0]["annotations"]] == [1]
    assert "left out: names: 0; train/a.txt line 1" in caplog.text


def test_numbers_as_texts(yolo, caplog):
    yolo.write_yaml('train: images/train\nnc: "2"\nnames: {"0": cat, 1.0: dog}\n')
    assert yolo.open().labels == ["cat", "dog"]
    assert "3 x number or truth value written as text" in caplog.text


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("names: [yes, cat]", "0 is True (a truth value): put it in quotes"),
        ("names: {0: cat, '0': dog}", "'names': 0 is given twice"),
        ("names: {true: cat}", "True: 'cat' is no class"),
        ("names: [cat]\nnc: many", "'nc' is 'many' (a string)"),
        ("names: [__ignore__]", "'names' names no class"),
    ],
)
def test_names_and_numbers_that_cannot_be_meant(yolo, text, fragment):
    yolo.write_yaml(f"train: images/train\n{text}\n")
    with pytest.raises(DatasetError) as caught:
        yolo.open()
    assert fragment in str(caught.value)


@pytest.mark.parametrize("name", ["labels/train/a.txt", "data.yaml"])
def test_encodings(yolo, name):
    path = yolo.folder / name
    text = path.read_text()
    path.write_bytes(text.encode("utf-16"))
    assert yolo.open().labels == ["cat", "dog"]
    path.write_bytes((text + "# \u82f9\u679c\n").encode("gbk"))
    with pytest.raises(DatasetError, match="iconv -f GB18030"):
        yolo.open()


def test_label_files_without_a_picture_are_told_when_pictures_have_none(yolo, caplog):
    """b has no label file; classes.txt is LabelImg's."""
    for name in ("classes", "b_"):
        yolo.write_lines(f"1 {SQUARE}\n", name)
    assert len(yolo.open().records[1]["annotations"]) == 0
    assert "1 label files belong to no picture, while 1 pictures have no label file" in caplog.text
    assert "b_.txt" in caplog.text
    assert "classes.txt" not in caplog.text


def test_a_name_longer_than_the_system_takes(yolo):
    yolo.write_yaml(f"train: {'x' * 5_000}\nnames: [cat, dog]")
    with pytest.raises(DatasetError, match="there is no"):
        yolo.open()
