"""`pdx.deploy.Predictor` over saved and exported models."""

import importlib.util
import logging

import numpy as np
import pytest
import torch

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.compat import deploy
from paddlex_maskrcnn.data.datasets.drawn import draw_scene
from paddlex_maskrcnn.det import transforms
from support.untrained import LABELS, save_untrained

IMAGES = [draw_scene(np.random.default_rng(k), k, (64, 96 - 16 * k))[0] for k in range(2)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_untrained(tmp_path_factory.mktemp("deploy") / "saved")


@pytest.fixture(scope="module")
def exported(saved):
    folder = saved.parent / "inference_model"
    report = pdx.load_model(saved).export_inference_model(folder)
    assert report.objects > 0
    return folder


def same(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one["category_id"] == other["category_id"]
        assert one["category"] == other["category"]
        assert one["bbox"] == pytest.approx(other["bbox"], abs=0.05)
        assert one["score"] == pytest.approx(other["score"], abs=1e-3)
        assert (one["mask"] != other["mask"]).mean() < 0.01


def test_a_model_directory(saved):
    predictor, model = pdx.deploy.Predictor(str(saved), use_gpu=False), pdx.load_model(saved, "cpu")
    assert predictor.labels == LABELS
    same(predictor.predict(IMAGES[0]), model.predict(IMAGES[0]))
    for found, expected in zip(
        predictor.batch_predict(IMAGES), model.batch_predict(IMAGES), strict=True
    ):
        same(found, expected)
    whole = transforms.Compose([transforms.Normalize(), transforms.ResizeByShort(96, 128)])
    same(predictor.predict(IMAGES[0], transforms=whole), model.predict(IMAGES[0], whole))


def test_an_exported_model(saved, exported):
    assert {path.name for path in exported.iterdir()} == {"model.onnx", "model.yml", ".success"}
    predictor, model = pdx.deploy.Predictor(exported), pdx.load_model(saved, "cpu")
    for image in IMAGES:
        # objects near the threshold may be on either side of it
        clear = [
            [one for one in objects if one["score"] > 0.3]
            for objects in (predictor.predict(image), model.predict(image))
        ]
        same(*clear)


def test_an_exported_model_is_not_taken_for_a_trained_one(exported):
    with pytest.raises(ValueError, match=r"is an exported model.*pdx\.deploy\.Predictor"):
        pdx.load_model(exported)


def test_without_onnxruntime(exported, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    with pytest.raises(ModuleNotFoundError, match="needs onnxruntime: pip install onnxruntime; or"):
        deploy.open_exported(exported)
    with pytest.raises(ModuleNotFoundError, match="onnxruntime"):
        pdx.load_model(exported.parent / "saved").export_inference_model(exported.parent / "other")
    assert not list(exported.parent.glob("*other*"))


def test_settings_of_paddles_engine(saved, caplog):
    before = torch.get_num_threads()
    try:
        with caplog.at_level(logging.WARNING):
            pdx.deploy.Predictor(saved, use_trt=True, use_mkl=False, mkl_thread_num=1)
    finally:
        torch.set_num_threads(before)
    assert "without effect here: use_mkl, use_trt" in caplog.text


def test_what_is_no_model(tmp_path):
    with pytest.raises(ValueError, match="is not a complete saved model"):
        pdx.deploy.Predictor(tmp_path)
