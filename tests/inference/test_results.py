"""The dict of one object: a dict in every respect, small until its mask is read."""

import copy
import json
import pickle

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from paddlex_maskrcnn.inference.detections import BoxMask, Detection
from paddlex_maskrcnn.inference.results import DetectedObject, as_object, dense_mask
from paddlex_maskrcnn.report.pictures import draw_objects

HEIGHT, WIDTH = 50, 70
LABELS = ["bolt", "nut"]
BITS = (np.random.default_rng(0).random((6, 9)) < 0.5).astype(np.uint8)
FOUND = Detection((10.5, 20.25, 18.0, 25.0), 0.75, 1, BoxMask(10, 20, BITS))
DENSE = FOUND.mask.dense(HEIGHT, WIDTH)
PLAIN = {
    "bbox": [10.5, 20.25, 7.5, 4.75], "mask": DENSE, "category": "nut", "category_id": 2, "score": 0.75,
}  # fmt: skip


def found(mask_format="dense"):
    return as_object(FOUND, LABELS, HEIGHT, WIDTH, mask_format)


def is_read(one):
    return isinstance(dict.get(one, "mask"), np.ndarray)


def same(one, expected=PLAIN):
    assert list(one) == list(expected)
    for key, value in expected.items():
        assert np.array_equal(one[key], value), key
    return True


READERS = {
    "brackets": lambda one: {key: one[key] for key in one},
    "get": lambda one: {key: one.get(key) for key in one},
    "dict": dict,
    "star": lambda one: {**one},
    "items": lambda one: {key: value for key, value in one.items()},  # noqa: C416
    "values": lambda one: dict(zip(one.keys(), one.values(), strict=True)),
    "update": lambda one: _updated(one),
    "or": lambda one: one | {},
    "ror": lambda one: {} | one,
    "copy": lambda one: one.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    "pop": lambda one: {key: one.pop(key) for key in list(one)},
    "popitem": lambda one: dict(reversed([one.popitem() for _ in range(5)])),
    "setdefault": lambda one: {key: one.setdefault(key) for key in one},
    "keywords": lambda one: (lambda **all_of_it: all_of_it)(**one),
    "format": lambda one: {**PLAIN, "score": float("{score}".format_map(one))},
}


def _updated(one):
    target = {}
    target.update(one)
    return target


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_every_way_of_reading_gives_the_mask(read):
    same(read(found()))


def test_a_dict():
    one = found()
    assert isinstance(one, dict)
    assert len(one) == 5
    assert "mask" in one
    assert not is_read(one)
    assert one["mask"].dtype == np.uint8
    assert one["mask"].shape == (HEIGHT, WIDTH)
    assert "array(" in repr(found())
    assert one.get("nothing", 3) == 3
    with pytest.raises(KeyError):
        one["nothing"]
    with pytest.raises(TypeError):
        hash(one)


def test_what_is_done_to_the_mask_stays():
    one = found()
    one["mask"][:] = 1
    assert one["mask"].all()
    assert coco_mask.area(one.as_rle()["mask"]) == HEIGHT * WIDTH
    one["mask"] = None
    assert one["mask"] is None
    del one["mask"]
    assert set(one) == {"bbox", "category", "category_id", "score"}
    assert one.get("mask") is None


def test_reading_other_keys_leaves_the_mask_unread():
    one = found()
    assert one["score"] > 0.5
    assert one.get("category") == "nut"
    assert one["bbox"][2] == 7.5
    assert not is_read(one)
    twin = pickle.loads(pickle.dumps([one]))[0]
    assert not is_read(twin)
    assert not is_read(one.copy())
    assert len(pickle.dumps(found())) < 1000


def test_equal():
    one = found()
    del one["mask"]
    rest = {key: value for key, value in PLAIN.items() if key != "mask"}
    assert one == rest
    assert (one != rest) is False
    assert rest == one


def test_rle():
    one = found("rle")
    assert type(one) is dict
    assert json.loads(json.dumps(one))["mask"] == one["mask"]
    same({**one, "mask": coco_mask.decode(one["mask"])})
    read = found()
    assert read["mask"].any()
    assert read.as_rle()["mask"] == one["mask"]


def test_box():
    one = found("box")
    left, top, bits = one["mask"]
    assert (left, top) == (10, 20)
    assert np.array_equal(bits, BITS)
    read = found()
    assert read["mask"].any()
    left, top, bits = read.as_box()["mask"]
    assert np.array_equal(BoxMask(left, top, bits).dense(HEIGHT, WIDTH), DENSE)


@pytest.mark.parametrize("mask_format", ["dense", "rle", "box"])
def test_dense_mask_of_any_form(mask_format):
    assert np.array_equal(dense_mask(found(mask_format)["mask"], HEIGHT, WIDTH), DENSE)


def test_a_window_needs_the_size():
    with pytest.raises(ValueError, match="mask_format 'box' need the image's height and width"):
        dense_mask(found("box")["mask"])


def test_an_empty_mask_has_an_empty_window():
    one = DetectedObject(mask=np.zeros((4, 5), np.uint8))
    assert one.as_box()["mask"][2].size == 0
    assert coco_mask.area(one.as_rle()["mask"]) == 0


@pytest.mark.parametrize("empty", [False, True])
def test_all_forms_look_the_same_in_a_picture(empty):
    """Windows are drawn without making the whole mask; one without a pixel has only its box."""
    bits = np.zeros_like(BITS) if empty else BITS
    one = Detection(FOUND.box, FOUND.score, FOUND.class_index, BoxMask(10, 20, bits))
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    dense, box = (
        draw_objects(image, [as_object(one, LABELS, HEIGHT, WIDTH, form)])
        for form in ("dense", "box")
    )
    assert np.array_equal(dense, box)
    assert (dense != image).any()
