"""The content of a COCO json: what is usable of it, with and without a folder of pictures."""

import json

import pytest

from paddlex_maskrcnn.data.datasets.coco_file import GROUPS_OTHERS, CocoFile
from paddlex_maskrcnn.data.datasets.problems import DatasetError, Problems

SIZE = {"height": 4, "width": 6}


def read(tmp_path, encoding="utf-8", **changes):
    content = {
        "images": [{"id": 1, "file_name": "a\\b.png", **SIZE}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2}],
        "categories": [{"id": 2, "name": "\u82f9\u679c"}],
        **changes,
    }
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    problems = Problems("a.json")
    return CocoFile(path, problems), problems


def test_plain_content_has_no_problems(tmp_path):
    file, problems = read(tmp_path)
    assert not problems.occurrences
    assert not problems.repaired
    assert file.images == [{"id": 1, "file_name": "a/b.png", **SIZE}]
    assert file.annotations is file.content["annotations"]
    assert (file.image_ids, file.category_ids) == ({1}, {2})


def test_content_has_numbers_where_they_were_texts(tmp_path):
    """What `split` writes out again fits together, even where only one side was a text."""
    annotation = {"id": 1.0, "image_id": "1", "category_id": "2", "note": "7"}
    file, problems = read(tmp_path, annotations=[annotation])
    assert file.content["annotations"] == [{"id": 1, "image_id": 1, "category_id": 2, "note": "7"}]
    (wheres,) = problems.repaired.values()
    assert wheres == [
        "id 1.0 of annotation 1", "image_id '1' of annotation 1", "category_id '2' of annotation 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        ({"file_name": "a.png", **SIZE}, "id is missing or null"),
        ({"id": "one", "file_name": "a.png", **SIZE}, "id is 'one' (a string)"),
        ({"id": 10**30, "file_name": "a.png", **SIZE}, "id is beyond 10^18 (an integer)"),
        ({"id": 1, "file_name": 7, **SIZE}, "file_name is 7 (an integer)"),
        ({"id": 1, "file_name": "a.png", "height": 4, "width": -6}, "width is -6 (an integer)"),
        (
            {"id": 1, "file_name": "a.png", "height": True, "width": 6},
            "height is True (a truth value)",
        ),
        ({"id": 1, "file_name": "a.png", "height": 4, "width": 2**30}, "width is 1073741824"),
    ],
)
def test_the_wrong_field_of_an_image_is_named(tmp_path, image, fault):
    _, problems = read(tmp_path, images=[image])
    ((kind, (where,)),) = problems.occurrences.items()
    assert kind.title == "image entry without id, file_name, height and width"
    assert fault in where


@pytest.mark.parametrize("number", ["x", None, [2], 10**30])
def test_the_wrong_id_of_a_category_is_named(tmp_path, number):
    _, problems = read(tmp_path, categories=[{"id": number, "name": "cat"}])
    ((kind, (where,)),) = problems.occurrences.items()
    assert kind.title == "category without id and name"
    assert "id is " in where


def test_gbk_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"GB18030 \(GBK\).*iconv -f GB18030 -t UTF-8 a\.json"):
        read(tmp_path, "gbk")


def test_the_category_that_groups_the_others_is_no_class(tmp_path):
    """Roboflow's exports begin with one of the project's name, of which there are no objects."""
    categories = [
        {"id": 0, "name": "fruits", "supercategory": "none"},
        {"id": 1, "name": "apple", "supercategory": "fruits"},
        {"id": 2, "name": "pear", "supercategory": "fruits"},
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 8}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2}],
    }

    def names(categories, number=2):
        content["annotations"][0]["category_id"] = number
        path = tmp_path / "a.json"
        path.write_text(json.dumps({**content, "categories": categories}))
        problems = Problems("set")
        file = CocoFile(path, problems)
        return [category["name"] for category in file.categories], problems.repaired

    assert names(categories) == (["apple", "pear"], {GROUPS_OTHERS: ["category 0 ('fruits')"]})
    assert names(categories, number=0) == (["fruits", "apple", "pear"], {})
    others = [categories[0], {**categories[1], "supercategory": "none"}, categories[2]]
    assert names(others) == (["fruits", "apple", "pear"], {})
    assert names(categories[:1], number=0)[0] == ["fruits"]
