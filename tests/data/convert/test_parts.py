"""Several parts of one set in one folder."""

import pytest
import yaml

from paddlex_maskrcnn.data.convert.convert import convert
from paddlex_maskrcnn.data.convert.parts import OtherParts, other_parts, write_data_yaml
from paddlex_maskrcnn.data.datasets import EasyDataDet, VOCDetection, YoloSegmentation
from paddlex_maskrcnn.data.datasets.problems import DatasetError

SQUARE = [[5, 5, 25, 5, 25, 25, 5, 25]]
FOLDERS = ("yolo", "voc", "easydata")


@pytest.fixture
def drawn(written):
    """Two pictures with an object each, the second of which other parts have under the same name."""
    for name in ("a.png", "b.png"):
        written.add(written.add_image(name), SQUARE, [5, 5, 20, 20])
    return written


def opened(form, out, split):
    if form == "yolo":
        return YoloSegmentation(out / "data.yaml", split)
    kind = {"voc": VOCDetection, "easydata": EasyDataDet}[form]
    return kind(out, out / f"{split}_list.txt", out / "labels.txt")


@pytest.mark.parametrize("form", FOLDERS)
def test_a_second_part_joins_the_first(drawn, tmp_path, form):
    """Both have pictures of the same names: neither loses one, and neither needs --force."""
    out = tmp_path / form
    for split in ("train", "val", "test"):
        convert(drawn.open(), form, out, split=split)
    for split in ("train", "val", "test"):
        part = opened(form, out, split)
        assert [len(record["annotations"]) for record in part.records] == [1, 1]
    files = {
        record["file_name"]
        for s in ("train", "val", "test")
        for record in opened(form, out, s).records
    }
    assert len(files) == 6


def test_data_yaml_has_all_lines_and_what_else_it_said(drawn, tmp_path):
    out = tmp_path / "yolo"
    convert(drawn.open(), "yolo", out, split="val")
    content = yaml.safe_load((out / "data.yaml").read_text())
    (out / "data.yaml").write_text(yaml.safe_dump({**content, "nc": 1, "license": "CC"}))
    convert(drawn.open(), "yolo", out, split="train")
    content = yaml.safe_load((out / "data.yaml").read_text())
    assert list(content) == ["train", "val", "license", "nc", "names"]
    assert (content["val"], content["names"]) == ("images/val", {0: "dog"})


@pytest.mark.parametrize("form", FOLDERS)
def test_the_same_part_again_needs_force_and_spares_the_others(drawn, tmp_path, form):
    out = tmp_path / form
    for split in ("train", "val"):
        convert(drawn.open(), form, out, split=split)
    with pytest.raises(DatasetError, match="is not empty"):
        convert(drawn.open(), form, out, split="val")
    before = [record["file_name"] for record in opened(form, out, "train").records]
    convert(drawn.open(), form, out, split="val", force=True)
    train = opened(form, out, "train")
    assert [record["file_name"] for record in train.records] == before
    assert not {record["file_name"] for record in opened(form, out, "val").records} & set(before)


@pytest.mark.parametrize("form", FOLDERS)
def test_parts_of_other_classes_are_refused(drawn, tmp_path, form):
    out = tmp_path / form
    convert(drawn.open(), form, out)
    drawn.content["categories"].append({"id": 2, "name": "cat"})
    with pytest.raises(
        DatasetError, match=r"of train too, whose classes are dog; these are dog, cat"
    ):
        convert(drawn.open(), form, out, split="val", force=True)


def test_a_folder_of_something_else_is_no_part(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for form in ("coco", "labelme", *FOLDERS):
        assert other_parts(form, tmp_path, "train", ["dog"]) == OtherParts()


def test_a_yaml_with_its_pictures_elsewhere_is_left_alone(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "set").mkdir()
    text = f"path: {tmp_path / 'elsewhere'}\ntrain: images\nnames: [dog]\n"
    (tmp_path / "set" / "data.yaml").write_text(text)
    with pytest.raises(DatasetError, match="into a folder of its own"):
        other_parts("yolo", tmp_path / "set", "val", ["dog"])


def test_the_lines_are_in_order(tmp_path):
    others = OtherParts(lines={"names": ["dog"], "test": "t", "train": "images/train"})
    write_data_yaml(tmp_path / "data.yaml", "val", ["dog"], others)
    assert list(yaml.safe_load((tmp_path / "data.yaml").read_text())) == [
        "train",
        "val",
        "test",
        "names",
    ]
