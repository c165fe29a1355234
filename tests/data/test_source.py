"""Folders of labelled pictures: recognised whatever their layout, or told what they hold."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from paddlex_maskrcnn.data import source_files
from paddlex_maskrcnn.data.convert.convert import convert
from paddlex_maskrcnn.data.datasets import DatasetError, DrawnShapes, open_dataset
from paddlex_maskrcnn.data.source import recognize
from support.labelled_folders import (
    CLASSES,
    PICTURES,
    WRITERS,
    coco_content,
    write_coco,
    write_easydata,
    write_labelme,
    write_pictures,
    write_voc_pairs,
    write_yolo,
)
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
    shutil.copytree(Path(drawn["train"].data_dir) / "images", tmp_path / "images")
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
    shutil.copytree(Path(drawn["train"].data_dir) / "images", tmp_path / "images")
    source = recognize(tmp_path)
    assert [Path(part.arguments["ann_file"]).name for part in source.parts] == ["train.json"]
    assert source.notes == ["train_rle.json names the same pictures as train.json and is not used"]


def test_instances_count_before_other_tasks_of_the_same_pictures(drawn, tmp_path):
    for name in ("stuff_val", "instances_val"):
        shutil.copy(drawn["val"].ann_file, tmp_path / f"{name}.json")
    shutil.copytree(Path(drawn["val"].data_dir) / "images", tmp_path / "images")
    (part,) = recognize(tmp_path).parts
    assert Path(part.arguments["ann_file"]).name == "instances_val.json"


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
        "paddlex_maskrcnn.data.source_files.read_json",
        lambda path: read.append(path) or json.loads(path.read_text()),
    )
    assert recognize(tmp_path).format == "LabelMe"
    assert len(read) < 10


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "the folder is empty; labelled pictures are needed"),
        ({"a.txt": "x"}, "neither pictures nor annotations"),
        (
            {"a.png": "x", "b.png": "x"},
            "2 pictures, but no labels to learn from: .* as one of COCO, YOLO",
        ),
        ({"a.zip": "x", "b.png": "x"}, r"it holds archives \(a.zip\): give one of them"),
        (
            {"a.json": '{"x": 1}', "b.xml": "<x"},
            r"has a known format \(a.json, b.xml\)",
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
    with pytest.raises(DatasetError, match="there is no file or folder"):
        recognize(tmp_path / "none")


def test_labels_of_other_images(drawn, tmp_path):
    shutil.copy(drawn["train"].ann_file, tmp_path / "a.json")
    with pytest.raises(
        DatasetError, match=r"a.json labels 3 images .*there are no pictures. Give the f"
    ):
        recognize(tmp_path)
    write_pictures(tmp_path, ["x.png"])
    with pytest.raises(
        DatasetError, match=r"none of which is in .*the pictures there \(1\) are others: x.png"
    ):
        recognize(tmp_path)
    convert(drawn["val"], "coco", tmp_path / "val/val.json", images="copy")
    content = (tmp_path / "a.json").read_text().replace("images/0", "images/9")
    (tmp_path / "a.json").write_text(content)
    source = recognize(tmp_path)
    assert opened(source) == expected(drawn, "val")
    assert source.notes[0].startswith("a.json is not used: its pictures (images/90000.jpg, ")


@pytest.mark.parametrize("form", WRITERS)
def test_every_format_in_folders_and_archives(form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    WRITERS[form](tmp_path / "set")
    shutil.make_archive("packed", "zip", tmp_path, "set")
    folder, archive = recognize(Path("set")), recognize(Path("packed.zip"))
    assert folder.format == archive.format
    assert archive.notes == ["packed.zip is unpacked into packed_unpacked"]
    for source in (folder, archive):
        ((_, choice),) = source.choices().items()
        dataset = open_dataset(choice)
        assert (dataset.labels, dataset.num_samples) == (CLASSES, len(PICTURES))


@pytest.mark.parametrize(
    ("form", "file", "kind"),
    [
        ("coco", "instances.json", "CocoDetection"),
        ("cvat", "annotations.xml", "CvatDetection"),
        ("label_studio", "project.json", "LabelStudioDetection"),
        ("yolo", "data.yaml", "YoloSegmentation"),
        ("labelme", "x/1.json", "LabelMeDetection"),
        ("voc", "x/1.xml", "VOCDetection"),
    ],
)
def test_an_annotation_file(form, file, kind, tmp_path):
    """Others in its folder do not count; one of many is read with its folder."""
    WRITERS[form](tmp_path)
    if form not in ("labelme", "voc"):
        (tmp_path / "other.json").write_text(json.dumps({"shapes": []}))
    source = recognize(tmp_path / file)
    (part,) = source.parts
    assert part.type == kind
    assert ("are read, not 1." in "".join(source.notes)) == (form in ("labelme", "voc"))
    assert open_dataset(source.choices()[part.role]).num_samples == (1 if "/" in file else 4)


def test_an_annotation_file_in_a_folder_beside_its_pictures(tmp_path):
    write_pictures(tmp_path / "images")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/all.json").write_text(json.dumps(coco_content()))
    (part,) = recognize(tmp_path / "annotations/all.json").parts
    assert part.arguments["data_dir"] == str(tmp_path / "images")


def test_no_annotation_file(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DatasetError, match="none of its json and xml files has a known format"):
        recognize(tmp_path / "a.json")


@pytest.mark.parametrize("write", [write_labelme, write_voc_pairs, write_easydata])
def test_parts_in_folders_have_the_classes_of_all(write, tmp_path):
    """Roboflow's Pascal VOC, and folders of LabelMe: a class that val lacks has its number there too."""
    write(tmp_path, {"train/a.png": ["dog", "cat"], "valid/b.png": ["dog"], "test/c.png": []})
    choices = recognize(tmp_path).choices()
    assert list(choices) == ["train", "val", "test"]
    assert {tuple(open_dataset(choice).labels) for choice in choices.values()} == {("cat", "dog")}


def test_parts_that_cannot_be_told_apart_are_one(tmp_path):
    write_voc_pairs(
        tmp_path, {"Annotations/train/a.png": ["dog"], "Annotations/val/b.png": ["cat"]}
    )
    for path in tmp_path.rglob("*.png"):
        moved = tmp_path / "JPEGImages" / path.name
        moved.parent.mkdir(exist_ok=True)
        path.rename(moved)
    source = recognize(tmp_path)
    assert open_dataset(source.choices()[""]).num_samples == 2
    assert source.notes == [
        "the folders train, val are read as one: each part needs a folder of its own that holds all its "
        "pictures and annotation files"
    ]


def test_roboflow_yolo(tmp_path):
    """Its data.yaml names a test part whether there is one or not."""
    for part in ("train", "valid"):
        write_yolo(tmp_path / part, {f"{part}.png": ["cat"]}, yaml=False)
    lines = [
        f"{key}: ../{part}/images"
        for key, part in (("train", "train"), ("val", "valid"), ("test", "test"))
    ]
    (tmp_path / "data.yaml").write_text("\n".join([*lines, "nc: 4", f"names: {CLASSES}"]))
    source = recognize(tmp_path)
    assert opened(source) == {"train": (1, 1), "val": (1, 1)}
    assert source.notes == ["data.yaml: test is not used, its pictures are missing"]


def test_roboflow_coco(tmp_path):
    for part in ("train", "valid"):
        write_pictures(tmp_path / part, [f"{part}.png"])
        content = coco_content({f"{part}.png": ["cat"]})
        root = {"id": 0, "name": "x", "supercategory": "none"}
        content["categories"] = [root, *content["categories"]]
        (tmp_path / part / "_annotations.coco.json").write_text(json.dumps(content))
    choices = recognize(tmp_path).choices()
    assert list(choices) == ["train", "val"]
    assert open_dataset(choices["val"]).labels == CLASSES


@pytest.mark.parametrize("prefix", ["images/", "0a1b2c3d-", "/data/upload/3/0a1b2c3d-", "images\\"])
def test_label_studio_coco(prefix, tmp_path):
    write_pictures(tmp_path / "images", ["a.png", "b.png"])
    content = coco_content({"a.png": ["cat"], "b.png": ["dog"]}, prefix=prefix)
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert opened(recognize(tmp_path)) == {"": (2, 2)}


@pytest.mark.parametrize("folder", ["images/default", "images", "images/default/deep"])
def test_cvat_coco(folder, tmp_path):
    write_pictures(tmp_path / folder, ["a.png"])
    (tmp_path / "annotations").mkdir()
    content = coco_content({"a.png": ["cat"]})
    (tmp_path / "annotations/instances_default.json").write_text(json.dumps(content))
    assert opened(recognize(tmp_path)) == {"": (1, 1)}


def test_a_coco_json_is_parsed_once(tmp_path, monkeypatch):
    write_coco(tmp_path)
    read, parsed = source_files.read_json, []
    monkeypatch.setattr(source_files, "read_json", lambda path: parsed.append(path) or read(path))
    recognize(tmp_path)
    assert len(parsed) == 1


def test_words_that_only_contain_the_name_of_a_part(tmp_path):
    write_labelme(
        tmp_path, {"latest/a.png": ["dog"], "strain 1/b.png": ["cat"], "intervals/c.png": []}
    )
    assert [part.role for part in recognize(tmp_path).parts] == [""]


def test_labelme_with_pictures_in_a_folder_of_their_own(tmp_path):
    write_labelme(tmp_path / "json", {"a.png": ["dog"], "b.png": ["cat"]})
    (tmp_path / "img").mkdir()
    for path in (tmp_path / "json").glob("*.png"):
        path.rename(tmp_path / "img" / path.name)
    assert opened(recognize(tmp_path)) == {"": (2, 2)}
