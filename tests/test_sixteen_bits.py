"""Pictures of 16 bits whose objects differ from the ground by less than 8 bits can tell."""

import argparse

import cv2
import numpy as np
import pytest

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.cli.browse import run as browse
from paddlex_maskrcnn.data.mapper import TestMapper, TrainMapper
from paddlex_maskrcnn.det import transforms
from support.tiny_training import SMALL

GROUND, BRIGHTER = 1000, 90  # of 65535: scaled to 8 bits all of it is 4
RANGE = {"min_val": [900] * 3, "max_val": [1200] * 3}


def recipe(**normalize):
    operators = [
        transforms.RandomHorizontalFlip(0),
        transforms.RandomExpand(1.5, 1),
        transforms.RandomDistort(),
        transforms.Normalize(**normalize),
        transforms.ResizeByShort(48, 80),
    ]
    return transforms.Compose(operators)


@pytest.fixture(params=["grey png", "colour png", "grey tiff", "colour tiff"])
def deep(request, tiny_coco):
    """The data set of the suite with its pictures drawn again, in all but black and white."""
    kind, suffix = request.param.split()
    for image in tiny_coco.content["images"]:
        drawn = cv2.imread(str(tiny_coco.data_dir / image["file_name"]))
        values = (GROUND + drawn / 255 * BRIGHTER).astype(np.uint16)
        values = values.max(axis=2) if kind == "grey" else values
        image["file_name"] = f"{image['id']}.{suffix}"
        cv2.imwrite(str(tiny_coco.data_dir / image["file_name"]), values)
    tiny_coco.save()
    return tiny_coco


def test_all_values_arrive_in_training_and_in_prediction(deep):
    record = deep.open().records[0]
    plain = transforms.Compose([transforms.Normalize(**RANGE)])
    stored = cv2.imread(record["file_name"], cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    expected = stored.astype(np.float32).transpose(2, 0, 1)
    assert len(np.unique(expected)) > 1
    mapper = TestMapper(plain, "BGR", 3)
    trained = TrainMapper(plain, "BGR", 3, 0)(record, 0, 0)["image"]
    for found in (trained, mapper(record)["image"], mapper(record["file_name"])["image"]):
        np.testing.assert_array_equal(found, expected)
    for source in (record["file_name"], stored):
        np.testing.assert_array_equal(mapper.pixels(source), expected.transpose(1, 2, 0))
    eight = TestMapper(transforms.Compose([transforms.Normalize()]), "BGR", 3)
    assert np.unique(eight(record)["image"]).tolist() == [4]


@pytest.mark.parametrize("deep", ["grey png", "colour tiff"], indirect=True)
def test_train_evaluate_predict_and_load(deep, tmp_path):
    data = deep.open(transforms=recipe(**RANGE))
    model = pdx.det.MaskRCNN(num_classes=3, **{**SMALL, "score_threshold": 0.0})
    model.train(
        1, data, 2, data, pretrain_weights=None, warmup_steps=0, learning_rate=1e-4,
        save_dir=str(tmp_path),
    )  # fmt: skip
    file_name = data.records[0]["file_name"]
    found = model.predict(file_name)
    assert found
    stored = cv2.imread(file_name, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    flat = np.full_like(stored, GROUND)
    again = pdx.load_model(tmp_path / "epoch_1")
    for same in (again.predict(file_name), model.predict(stored)):
        assert [one["score"] for one in found] == [one["score"] for one in same]
    assert [one["score"] for one in found] != [one["score"] for one in model.predict(flat)]


def test_the_ground_that_operators_add_is_not_black(deep):
    record = deep.open().records[0]
    image = TrainMapper(recipe(**RANGE), "BGR", 3, 0)(record, 0, 0)["image"]
    assert image.min() > 0.3 * GROUND


def test_what_the_network_sees_can_be_seen(deep, tmp_path):
    config = tmp_path / "deep.yaml"
    config.write_text(
        f"""
data:
  train: {{data_dir: {deep.data_dir}, ann_file: {deep.ann_file}}}
  transforms:
    train: [{{Normalize: {{min_val: [900, 900, 900], max_val: [1200, 1200, 1200]}}}}]
"""
    )
    given = {"split": "train", "num": 1, "epoch": None, "to": str(tmp_path / "out")}
    browse(argparse.Namespace(config=str(config), overrides=[], **given))
    sheet = cv2.imread(str(next((tmp_path / "out").glob("000_*.png"))))
    assert 50 < np.median(sheet) < 120  # (1000 - 900) / 300 of white
