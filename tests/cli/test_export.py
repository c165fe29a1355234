"""`python -m paddlex_maskrcnn export`."""

import importlib.util

import cv2
import numpy as np
import onnx
import pytest
import torch

from paddlex_maskrcnn import cli
from support.untrained import save_untrained


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_untrained(tmp_path_factory.mktemp("export") / "model")


@pytest.fixture
def export(capsys):
    """The command in this process: exit status, standard output, standard error."""

    def export(*arguments: object) -> tuple[int, str, str]:
        status = cli.main(["export", *map(str, arguments)])
        return status, *capsys.readouterr()

    return export


@pytest.mark.long
def test_onnx_compared_on_given_images(export, model_dir, tmp_path):
    folder = tmp_path / "photos" / "deeper"
    folder.mkdir(parents=True)
    for number, size in enumerate([(64, 96), (100, 60)]):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    (folder / "notes.txt").write_text("no image")
    status, out, err = export(model_dir, "--to", "onnx", "--images", tmp_path / "photos")
    assert (status, err) == (0, "")
    assert "compared 20 objects on 2 images, scores from 0.1: largest differences boxes" in out
    assert f"written to {model_dir / 'model.onnx'}" in out
    onnx.checker.check_model(str(model_dir / "model.onnx"))
    assert not list(model_dir.glob("*.wrong*"))


@pytest.mark.long
def test_torchscript_to_a_file(export, model_dir, tmp_path):
    path = tmp_path / "new" / "network.pt"
    status, out, _ = export(model_dir, "--to", "torchscript", "--output", path)
    assert status == 0
    assert "on 5 images" in out
    extra = {"labels": "", "preprocessing": ""}
    module = torch.jit.load(str(path), _extra_files=extra)
    assert extra["labels"] == b'["circle", "square", "star"]'
    with torch.no_grad():
        boxes, _, labels, _ = module(torch.rand(3, 64, 96) * 255)
    assert len(boxes) == len(labels) > 0


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_missing_packages(export, model_dir, monkeypatch, missing):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == missing else found(name, *more),
    )
    status, _, err = export(model_dir, "--to", "onnx")
    assert status == 2
    assert f"needs {missing}: pip install 'paddlex-maskrcnn[export]'" in err


def test_mistakes(export, model_dir, tmp_path):
    status, _, err = export(tmp_path / "nowhere", "--to", "onnx")
    assert (status, err) == (2, f"error: there is no model directory {tmp_path / 'nowhere'}\n")
    status, _, err = export(model_dir, "--to", "onnx", "--images", tmp_path / "nowhere")
    assert (status, err) == (2, f"error: --images: there is no {tmp_path / 'nowhere'}\n")
    status, _, err = export(model_dir, "--to", "onnx", "--images", tmp_path)
    assert (status, err) == (2, f"error: --images: there is no image in {tmp_path}\n")
    status, _, err = export(model_dir, "--to", "onnx", "--tolerance", 0)
    assert status == 2
    assert "tolerance is 0.0; give a number above 0" in err


def test_a_file_that_differs_is_an_error(export, model_dir, tmp_path):
    """No program rounds so well."""
    path, image = tmp_path / "model.pt", tmp_path / "image.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    arguments = ("--to", "onnx", "--output", path, "--images", image, "--tolerance", 1e-12)
    status, _, err = export(model_dir, *arguments)
    assert status == 2
    assert "error: the exported file does not find what the network finds" in err
    assert "a larger --tolerance accepts larger differences" in err
    assert not path.exists()
    assert (tmp_path / "model.wrong.pt").is_file()
