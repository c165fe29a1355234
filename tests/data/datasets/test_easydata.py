"""EasyData sets: run-length masks are exact, what is wrong is named."""

import json

import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import DatasetError, EasyDataDet

WIDTH, HEIGHT = 40, 30


class TinyEasyData:
    """Two pictures, the first with a ring."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        for name in ("a", "b"):
            Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"{name}.jpg")
        self.mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        self.mask[5:20, 10:30] = 1
        self.mask[8:12, 15:20] = 0
        self.write(self.ring())
        (folder / "b.json").write_text('{"labels": []}')
        (folder / "labels.txt").write_text("ring\n")
        (folder / "list.txt").write_text("a.jpg a.json\nb.jpg b.json\n")

    def ring(self, **changes):
        counts = mask_util.encode(np.asfortranarray(self.mask))["counts"].decode()
        return {"name": "ring", "x1": 10, "y1": 5, "x2": 29, "y2": 19, "mask": counts, **changes}

    def write(self, *labels):
        (self.folder / "a.json").write_text(json.dumps({"labels": list(labels)}))

    def open(self, **arguments):
        paths = (self.folder / name for name in ("list.txt", "labels.txt"))
        return EasyDataDet(self.folder, *paths, num_workers=0, **arguments)


@pytest.fixture
def easydata(tmp_path):
    return TinyEasyData(tmp_path / "easydata")


def test_masks_keep_their_holes_and_boxes_their_last_pixel(easydata, caplog):
    dataset = easydata.open()
    assert not caplog.records
    (one,) = dataset.records[0]["annotations"]
    np.testing.assert_array_equal(mask_util.decode(one["segmentation"]), easydata.mask)
    assert one["bbox"] == [10, 5, 20, 15]
    assert one["area"] == easydata.mask.sum()
    assert dataset.records[1]["annotations"] == []
    assert dataset.metric == "COCO"


def test_a_missing_box_is_taken_from_the_mask(easydata, caplog):
    ring = {key: value for key, value in easydata.ring().items() if key in ("name", "mask")}
    easydata.write(ring)
    assert easydata.open().records[0]["annotations"][0]["bbox"] == [10, 5, 20, 15]
    assert "annotation without bbox, taken from its mask: a.json object 1 ('ring')" in caplog.text


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"mask": None}, "annotation without segmentation: a.json object 1 ('ring')"),
        ({"mask": "abc"}, "RLE mask that does not fit its image: a.json object 1"),
        ({"mask": [5]}, "counts cover 5 pixels"),
        ({"mask": 5}, "counts are not run lengths"),
        ({"x1": "left"}, "bbox that is not four finite numbers: a.json object 1"),
        ({"x1": float("nan")}, "bbox that is not four finite numbers"),
        ({"x1": None}, "bbox that is not four finite numbers"),
        ({"x1": 10**400}, "bbox that is not four finite numbers"),
        ({"x2": 3}, "box outside the image or without area"),
    ],
)
def test_objects_that_cannot_be_used(easydata, changes, fragment):
    easydata.write(easydata.ring(**changes), easydata.ring())
    with pytest.raises(DatasetError) as caught:
        easydata.open()
    assert fragment in str(caught.value)
    assert len(easydata.open(skip_invalid=True).records[0]["annotations"]) == 1


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("[]", "a.json: not EasyData's json: no list of objects in 'labels'"),
        ('{"labels": [3]}', "a.json: not EasyData's json"),
        ('{"labels": [{}]}', "a.json: object 1 has no name"),
        ('{"labels": [{"name": "cow"}]}', "not in label_list: a.json object 1 ('cow')"),
    ],
)
def test_files_that_cannot_be_used(easydata, text, fragment):
    (easydata.folder / "a.json").write_text(text)
    with pytest.raises(DatasetError) as caught:
        easydata.open(skip_invalid=True)
    assert fragment in str(caught.value)


def test_corners_as_texts_and_corners_of_zeros(easydata, caplog):
    expected = easydata.open().records[0]["annotations"][0]["bbox"]
    easydata.write(easydata.ring(x1="10", y2="19.0"))
    assert easydata.open().records[0]["annotations"][0]["bbox"] == expected
    assert "written as text" in caplog.text
    easydata.write(easydata.ring(x1=0, y1=0, x2=0, y2=0))
    assert easydata.open().records[0]["annotations"][0]["bbox"] == expected
    assert "bbox that is empty or has no area, taken from the mask" in caplog.text
    easydata.write(easydata.ring(x1=True))
    with pytest.raises(DatasetError, match="True \\(a truth value\\)"):
        easydata.open()


def test_a_name_that_is_none_is_named(easydata):
    easydata.write(easydata.ring(name=7))
    with pytest.raises(DatasetError, match=r"object 1 has no name: it is 7 \(an integer\)"):
        easydata.open()


def test_objects_to_be_left_out(easydata, caplog):
    easydata.write(easydata.ring(), easydata.ring(name="_background_"))
    assert len(easydata.open().records[0]["annotations"]) == 1
    assert "left out: a.json object 2 ('_background_')" in caplog.text


def test_gbk_is_named(easydata):
    (easydata.folder / "a.json").write_bytes('{"labels": "\u82f9\u679c"}'.encode("gbk"))
    with pytest.raises(DatasetError, match="iconv -f GB18030"):
        easydata.open()
