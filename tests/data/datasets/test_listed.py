"""Lists of images with an annotation file each: columns, tabs, names alone, lines that are wrong."""

import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import DatasetError, EasyDataDet


@pytest.fixture
def listed(tmp_path):
    """Opens two empty EasyData images with this text as their list."""
    for name in ("a", "my b"):
        Image.new("RGB", (20, 10)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.json").write_text('{"labels": []}')

    def open_list(text):
        (tmp_path / "list.txt").write_text(text)
        return EasyDataDet(tmp_path, tmp_path / "list.txt", ["dog"], num_workers=0)

    return open_list


def test_names_with_spaces_stand_between_tabs(listed):
    dataset = listed("a.png a.json\n\nmy b.png\tmy b.json\n")
    assert [record["image_id"] for record in dataset.records] == [1, 2]
    assert dataset.records[1]["file_name"].endswith("my b.png")
    assert dataset.labels == ["dog"]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("a.png", r"line that is not 'image annotation': list\.txt line 1: 'a\.png'"),
        ("a.png a.json\nmy b.png my b.json", r"list\.txt line 2: 'my b\.png my b\.json'"),
        ("a.png\t", "line that is not 'image annotation'"),
        ("a.png /etc/hostname", r"leaves the data's folder: list\.txt line 1: '/etc/hostname'"),
        ("b.png a.json", r"missing image: image 1 \('b\.png'\)"),
        ("\n", r"file_list '.*list\.txt' is empty"),
    ],
)
def test_lines_that_cannot_be_used(listed, text, fragment):
    with pytest.raises(DatasetError, match=fragment):
        listed(text)
