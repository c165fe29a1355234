"""Folders of labelled pictures: recognised whatever their layout, or told what they hold."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from paddlex_maskrcnn.data.convert.convert import convert
from paddlex_maskrcnn.data.datasets import CocoDetection, DatasetError, DrawnShapes, open_dataset
from paddlex_maskrcnn.data.source import recognize
from support.yaml_bombs import BOMBS, bounded


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Two parts of a drawn set, with few pictures: part -> data set."""
    folder = tmp_path_factory.mktemp("drawn")
    return {
        split: DrawnShapes(folder, split=split, num_images=count, image_size=64)
        for split, count in (("train", 3), ("val", 2))
    }


def opened(source):
    """Role -> pictures of the part and its objects."""
    counts = {}
    for role, choice in source.choices().items():
        dataset = open_dataset(choice)
        objects = sum(len(record["annotations"]) for record in dataset.records)
        counts[role] = (dataset.num_samples, objects)
    return counts


def expected(drawn, *roles):
    return {
        role: (
            drawn[role].num_samples,
            sum(len(record["annotations"]) for record in drawn[role].records),
        )
        for role in roles
    }


@pytest.mark.parametrize("form", ["voc", "yolo", "easydata"])
def test_folders_that_convert_writes(form, drawn, tmp_path):
    convert(drawn["train"], form, tmp_path / "set")
    source = recognize(tmp_path / "set")
    assert opened(source) == expected(drawn, "train")


def test_labelme(drawn, tmp_path):
    convert(drawn["train"], "labelme", tmp_path / "set")
    source = recognize(tmp_path / "set")
    assert source.format == "LabelMe"
    assert opened(source) == {"": expected(drawn, "train")["train"]}
    both = tmp_path / "both"
    for split in ("train", "val"):
        convert(drawn[split], "labelme", both / split)
    assert opened(recognize(both)) == expected(drawn, "train", "val")


@pytest.mark.parametrize(
    ("json_name", "pictures"),
    [
        ("annotations/instances_{}.json", "images"),  # COCO's own, and CVAT's
        ("annotations/instances_{}2017.json", "{}2017"),
        ("{}/_annotations.coco.json", "{}"),  # Roboflow's
        ("{}.json", "images/{}"),
        ("labels_{}.json", "."),
    ],
)
def test_layouts_of_coco(json_name, pictures, drawn, tmp_path):
    for split, dataset in drawn.items():
        folder = tmp_path / pictures.format(split)
        folder.mkdir(parents=True, exist_ok=True)
        path = tmp_path / json_name.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.loads(Path(dataset.ann_file).read_text())
        for entry, record in zip(content["images"], dataset.records, strict=True):
            name = Path(record["file_name"]).name
            # pictures of both parts have the same names in folders of their own
            entry["file_name"] = name if "{}" in pictures else f"{split}_{name}"
            shutil.copy(record["file_name"], folder / entry["file_name"])
        path.write_text(json.dumps(content))
    assert opened(recognize(tmp_path)) == expected(drawn, "train", "val")


def write_cvat(folder):
    Image.new("RGB", (20, 20)).save(folder / "a.png")
    (folder / "annotations.xml").write_text(
        '<annotations><image id="0" name="a.png" width="20" height="20">'
        '<box label="dog" xtl="1" ytl="1" xbr="9" ybr="9"/></image></annotations>'
    )


def write_label_studio(folder):
    Image.new("RGB", (20, 20)).save(folder / "a.png")
    value = {"x": 10, "y": 10, "width": 50, "height": 50, "rectanglelabels": ["dog"]}
    result = {"id": "r", "type": "rectanglelabels", "value": value}
    task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": [result]}]}
    (folder / "project-1.json").write_text(json.dumps([task]))


@pytest.mark.parametrize("write", [write_cvat, write_label_studio])
def test_exports_of_labelling_tools(write, tmp_path):
    write(tmp_path)
    assert opened(recognize(tmp_path)) == {"": (1, 1)}


def test_key_points_and_captions_beside_the_instances(drawn, tmp_path):
    content = json.loads(Path(drawn["train"].ann_file).read_text())
    for name, annotations in (
        ("instances", content["annotations"]),
        ("captions", [{"id": 1, "image_id": 1, "caption": "x"}]),
    ):
        part = {**content, "annotations": annotations}
        (tmp_path / f"{name}_train.json").write_text(json.dumps(part))
    source = recognize(tmp_path)
    (part,) = source.parts
    assert part.arguments["ann_file"].endswith("instances_train.json")
    assert source.notes == ["captions_train.json has no masks and is not used"]
    (tmp_path / "instances_train.json").unlink()
    with pytest.raises(DatasetError, match="no annotation has a segmentation"):
        recognize(tmp_path)


def test_two_forms_of_the_same_annotations(drawn, tmp_path):
    for name in ("train", "train_rle"):
        shutil.copy(drawn["train"].ann_file, tmp_path / f"{name}.json")
    source = recognize(tmp_path)
    assert [Path(part.arguments["ann_file"]).name for part in source.parts] == ["train.json"]
    assert source.notes == ["train_rle.json names the same pictures as train.json and is not used"]


def test_two_formats_at_once(tmp_path):
    write_cvat(tmp_path)
    write_label_studio(tmp_path)
    with pytest.raises(
        DatasetError, match=r"2 formats \(CvatDetection: annotations.xml; LabelStudio"
    ):
        recognize(tmp_path)
    assert recognize(tmp_path, "CvatDetection").format == "CVAT"
    with pytest.raises(DatasetError, match="has no annotations of CocoDetection"):
        recognize(tmp_path, "CocoDetection")
    with pytest.raises(ValueError, match="did you mean 'CocoDetection'"):
        recognize(tmp_path, "CocoDetektion")


def test_of_many_files_a_few_decide(tmp_path, monkeypatch):
    for k in range(200):
        content = {"shapes": [], "imagePath": f"{k}.png", "imageData": None}
        (tmp_path / f"{k}.json").write_text(json.dumps(content))
    read = []
    monkeypatch.setattr(
        "paddlex_maskrcnn.data.source.read_json",
        lambda path: read.append(path) or json.loads(path.read_text()),
    )
    assert recognize(tmp_path).format == "LabelMe"
    assert len(read) < 10


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "neither pictures nor annotations"),
        ({"a.png": "x"}, "1 pictures, but no annotations"),
        (
            {"a.json": '{"x": 1}', "b.xml": "<x"},
            r"has a known format \(a.json, b.xml\)",
        ),
        ({"Annotations/a.xml": "<annotation/>"}, "a list of images is missing"),
        (
            {"Annotations/a.json": '{"labels": []}', "train_list.txt": "a b"},
            "labels.txt is missing",
        ),
    ],
)
def test_what_cannot_be_recognised(files, message, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=message):
        recognize(tmp_path)


def test_a_yaml_that_stands_for_too_much(tmp_path):
    (tmp_path / "data.yaml").write_text(f"train: a\nnames: [x]\n{BOMBS['references']}")
    with bounded(), pytest.raises(DatasetError, match="stands for more than"):
        recognize(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(DatasetError, match="is not a folder"):
        recognize(tmp_path / "none")


def test_a_coco_file_whose_pictures_are_elsewhere(drawn, tmp_path):
    """The reader says what is missing and where it looked."""
    shutil.copy(drawn["train"].ann_file, tmp_path / "a.json")
    (part,) = recognize(tmp_path).parts
    with pytest.raises(DatasetError, match="missing image"):
        CocoDetection(**part.arguments)
