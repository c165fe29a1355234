"""Lists of images choose a part of any data set; nothing else about it changes."""

import json
import logging
import shutil

import pytest

from paddlex_maskrcnn.data.datasets import (
    CocoDetection,
    DatasetError,
    LabelMeDetection,
    YoloSegmentation,
)
from paddlex_maskrcnn.data.datasets import reading as reading_module
from paddlex_maskrcnn.data.datasets.image_list import as_text
from support.labelled_folders import (
    CLASSES,
    PICTURES,
    WRITERS,
    coco_content,
    write_coco,
    write_labelme,
    write_pictures,
    write_yolo,
    yolo_lines,
)


def contents(dataset):
    """All records without the numbers that annotations are given by their order."""
    records = list(dataset.records)
    for record in records:
        for annotation in record["annotations"]:
            del annotation["id"]
    return records


def listed(path, names):
    path.write_text(as_text(names), encoding="utf-8")
    return {"image_list": str(path)}


@pytest.mark.parametrize("form", WRITERS)
def test_a_part_of_any_format_is_that_part_of_the_whole(form, tmp_path, caplog):
    open_set = WRITERS[form](tmp_path / "set")
    whole = open_set()
    assert whole.labels == CLASSES
    names = whole.image_names()
    assert len(set(names)) == whole.num_samples == len(PICTURES)
    assert not any(name.startswith("/") for name in names)
    for chosen in ([0, 2], [3], range(len(names))):
        part = open_set(**listed(tmp_path / "list.txt", [names[k] for k in reversed(chosen)]))
        assert contents(part) == [contents(whole)[k] for k in chosen]
        assert part.image_names() == [names[k] for k in chosen]
        assert part.categories == whole.categories
    assert "repaired" not in caplog.text


@pytest.mark.parametrize("form", WRITERS)
def test_a_set_that_was_moved_keeps_its_lists(form, tmp_path):
    names = WRITERS[form](tmp_path / "set")().image_names()
    shutil.rmtree(tmp_path / "set")
    moved = WRITERS[form](tmp_path / "elsewhere" / "new name")
    part = moved(**listed(tmp_path / "list.txt", names[:2]))
    assert part.image_names() == names[:2]


@pytest.mark.parametrize("form", WRITERS)
def test_no_header_of_other_pictures_is_read(form, tmp_path, monkeypatch):
    open_set = WRITERS[form](tmp_path / "set")
    names = open_set().image_names()
    asked = []
    read = reading_module.read_headers
    monkeypatch.setattr(
        reading_module, "read_headers", lambda paths: asked.extend(paths) or read(paths)
    )
    open_set(**listed(tmp_path / "list.txt", names[1:2]))
    assert len(asked) == 1


def test_how_names_may_be_written(tmp_path):
    open_set = write_coco(tmp_path / "set")
    folder = tmp_path / "set"
    lines = [f"{folder}/x/1.png", "  y\\1.png ", "", "./y/../é.png"]
    text = "\ufeff" + "\r\n".join(lines)
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    dataset = open_set(image_list=str(tmp_path / "list.txt"))
    assert dataset.image_names() == ["x/1.png", "y/1.png", "é.png"]


def test_names_as_the_annotations_have_them(tmp_path):
    """Label Studio's addresses, absolute names of another computer, YOLO's names from its root."""
    address = "/data/local-files/?d=set/y/1.png"
    studio = WRITERS["label_studio"](tmp_path / "studio")
    assert studio(**listed(tmp_path / "a.txt", [address])).image_names() == ["y/1.png"]
    write_pictures(tmp_path / "coco")
    content = coco_content()
    content["images"][0]["file_name"] = f"C:/old/{tmp_path.name}/coco/x/1.png"
    (tmp_path / "coco.json").write_text(json.dumps(content))
    arguments = listed(tmp_path / "b.txt", [content["images"][0]["file_name"], "y/1.png"])
    dataset = CocoDetection(tmp_path / "coco", tmp_path / "coco.json", **arguments)
    assert dataset.image_names() == ["x/1.png", "y/1.png"]


def test_pictures_outside_of_the_folder(tmp_path):
    write_labelme(tmp_path / "set")
    (tmp_path / "set/y").rename(tmp_path / "jsons")
    write_pictures(tmp_path / "photos", ["1.png", "a b.png"])
    for path in (tmp_path / "jsons").glob("*.png"):
        path.unlink()
    arguments = {"image_dir": str(tmp_path / "photos")}
    whole = LabelMeDetection(tmp_path / "jsons", **arguments)
    assert whole.image_names() == ["../photos/1.png", "../photos/a b.png"]
    arguments |= listed(tmp_path / "list.txt", whole.image_names()[1:])
    part = LabelMeDetection(tmp_path / "jsons", **arguments)
    assert (part.image_names(), part.labels) == (["../photos/a b.png"], whole.labels)


def test_yolo_with_lists_of_files_and_a_root_elsewhere(tmp_path):
    """Names start from the folder of data.yaml, whatever its path; those of its own lists are read too."""
    write_yolo(tmp_path / "photos")
    names = [f"./images/{name}" for name in PICTURES]
    (tmp_path / "photos/train.txt").write_text("\n".join(names))
    yaml = tmp_path / "yamls/data.yaml"
    yaml.parent.mkdir()
    yaml.write_text(f"path: ../photos\ntrain: train.txt\nnames: {CLASSES}")
    whole = YoloSegmentation(yaml)
    assert whole.image_names()[0] == "../photos/images/x/1.png"
    for line in (whole.image_names()[1], names[1]):
        part = YoloSegmentation(yaml, **listed(tmp_path / "list.txt", [line]))
        assert contents(part) == contents(whole)[1:2]


def test_pictures_found_under_other_names(tmp_path, caplog):
    """The list has the name of the data set, so that the picture is chosen before it is looked for."""
    open_set = write_coco(tmp_path / "set")
    (tmp_path / "set/x/1.png").rename(tmp_path / "set/x/1.PNG")
    whole = open_set()
    assert whole.image_names()[0] == "x/1.png"
    assert whole.records[0]["file_name"].endswith("1.PNG")
    part = open_set(**listed(tmp_path / "list.txt", ["x/1.png"]))
    assert contents(part) == contents(whole)[:1]


def test_two_images_of_one_file(tmp_path):
    """Both are chosen, and the names of all lead to all."""
    write_pictures(tmp_path)
    content = coco_content()
    content["images"][1]["file_name"] = content["images"][0]["file_name"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    whole = CocoDetection(tmp_path, tmp_path / "a.json")
    arguments = listed(tmp_path / "list.txt", whole.image_names())
    assert contents(CocoDetection(tmp_path, tmp_path / "a.json", **arguments)) == contents(whole)
    part = CocoDetection(tmp_path, tmp_path / "a.json", **listed(tmp_path / "b.txt", ["x/1.png"]))
    assert part.num_samples == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["x/1.png", "y/2.png", "nothing alike"], "2 x name in image_list that no image"),
        (["y/1.pgn"], "line 1: 'y/1.pgn'; did you mean 'y/1.png'"),
        (["photos/é.png"], r"'photos/é.png'; the data set has 'é.png'"),
        (["1.png"], "'1.png'; 2 images in other folders have this name"),
        (["é.png", "x/1.png", "é.png"], "1 x name that image_list has twice: list.txt line 3"),
        (["", " "], "image_list '.*list.txt' is empty"),
    ],
)
def test_names_that_cannot_be_used(lines, message, tmp_path):
    open_set = write_coco(tmp_path / "set")
    with pytest.raises(DatasetError, match=message):
        open_set(**listed(tmp_path / "list.txt", lines))


def test_lists_that_cannot_be_read(tmp_path):
    open_set = write_coco(tmp_path / "set")
    with pytest.raises(DatasetError, match=r"image_list '.*list.txt': missing"):
        open_set(image_list=str(tmp_path / "list.txt"))
    (tmp_path / "list.txt").write_bytes("标注.png".encode("gbk"))
    with pytest.raises(DatasetError, match="not UTF-8"):
        open_set(image_list=str(tmp_path / "list.txt"))


def test_missing_pictures_of_other_parts_do_not_stop(tmp_path):
    open_set = write_coco(tmp_path / "set")
    (tmp_path / "set/x/1.png").unlink()
    with pytest.raises(DatasetError, match="missing image"):
        open_set()
    assert open_set(**listed(tmp_path / "list.txt", ["y/1.png"])).num_samples == 1


def test_many_names_take_no_time(tmp_path, caplog):
    """A wrong list of thousands of names is an error, not a wait for similar names of each."""
    caplog.set_level(logging.WARNING)
    write_pictures(tmp_path, ["a.png"])
    images = [
        {"id": k, "file_name": f"folder/{k}.png", "height": 16, "width": 24} for k in range(5_000)
    ]
    content = {**coco_content({}), "images": images}
    (tmp_path / "a.json").write_text(json.dumps(content))
    names = [f"other/{k}.jpg" for k in range(5_000)]
    with pytest.raises(DatasetError, match="5000 x name in image_list"):
        CocoDetection(tmp_path, tmp_path / "a.json", **listed(tmp_path / "list.txt", names))


def test_yolo_counts_by_all_lines(tmp_path):
    """Class names that only numbers tell are those of all pictures, whatever is listed."""
    write_pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / "a.txt").write_text(yolo_lines(["ant"]))
    (tmp_path / "b.txt").write_text(yolo_lines(["cat"]))
    part = YoloSegmentation(tmp_path, **listed(tmp_path / "list", ["a.png"]))
    assert part.labels == ["0", "1", "2"]
