"""The script that runs an exported file finds what `predict` finds, and needs nothing of ours."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.export.exporting import metadata_of
from paddlex_maskrcnn.export.files import write_torchscript
from paddlex_maskrcnn.export.network import ExportableRCNN

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
SCRIPT = Path(__file__).parents[2] / "examples" / "onnx_predict.py"
# what shall not be needed cannot be imported
ALONE = """
import runpy, sys
for name in ("torch", "torchvision", "detectron2", "paddlex_maskrcnn", "pycocotools", "PIL"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def noise(height, width, channels=3, seed=0):
    shape = (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("onnx_predict", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_same(results, objects, size):
    """JSON of the script and objects of `predict`, in order."""
    assert len(results) == len(objects) > 5
    for result, one in zip(results, objects, strict=True):
        np.testing.assert_allclose(result["bbox"], one["bbox"], atol=1e-3)
        assert result["score"] == pytest.approx(one["score"], abs=1e-5)
        assert result["category_id"] == [3, 7, 8][one["category_id"] - 1]
        assert result["segmentation"]["size"] == list(size)
        mask = coco_mask.decode(result["segmentation"])
        assert np.count_nonzero(mask != one["mask"]) <= 2  # pixels at the threshold


def test_as_a_program(exported, tmp_path):
    model, path, _ = exported
    sizes = {"large.png": (230, 170), "small.png": (40, 70)}
    for seed, (name, size) in enumerate(sizes.items()):
        cv2.imwrite(str(tmp_path / name), noise(*size, seed=seed))
    pictures = [str(tmp_path / name) for name in sizes]
    command = [sys.executable, "-c", ALONE, str(SCRIPT), str(path), *pictures]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out")], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    results = json.loads((tmp_path / "out" / "predictions.json").read_text())
    for name, size in sizes.items():
        found = [one for one in results if one["image_id"] == name]
        assert_same(found, model.predict(str(tmp_path / name)), size)
        assert cv2.imread(str(tmp_path / "out" / name)).shape == (*size, 3)


def test_its_score_threshold(exported, script):
    model, path, _ = exported
    image = noise(64, 96)
    scores = [one["score"] for one in model.predict(image)]
    middle = (scores[4] + scores[5]) / 2
    found = script.Model(path).predict(image, score_threshold=middle)
    assert [one["score"] for one in found] == pytest.approx(scores[:5], abs=1e-5)


@pytest.mark.parametrize(
    "operators",
    [
        [transforms.ResizeByShort(64, 96)],
        [transforms.ResizeByShort(64, 0)],
        [transforms.ResizeByShort(200, 333)],
        [transforms.Resize([90, 70], interp="CUBIC")],
        [transforms.Resize(40), transforms.ResizeByShort(50)],
    ],
)
@pytest.mark.parametrize("size", [(64, 96), (100, 41), (130, 300)])
@pytest.mark.parametrize(("channels", "order"), [(1, "BGR"), (2, "RGB"), (3, "RGB"), (4, "RGB")])
def test_images_are_prepared_as_for_the_network(exported, script, operators, size, channels, order):
    from dataclasses import replace

    from paddlex_maskrcnn.data.images import as_image
    from paddlex_maskrcnn.data.mapper import TestMapper

    card = exported[0].network.card
    card = replace(
        card,
        params=replace(card.params, input_channel=channels),
        input_format=replace(card.input_format, channel_order=order),
    )
    pipeline = transforms.Compose(operators)
    about = json.loads(metadata_of(card, pipeline, 32)["preprocessing"])
    image = noise(*size, channels)
    ours = TestMapper(pipeline, order, channels)(as_image(image, order, channels))["image"]
    theirs = script.prepare(image, about).transpose(2, 0, 1)
    np.testing.assert_array_equal(theirs, ours.numpy())


def test_the_python_of_the_documentation_runs(exported, tmp_path, monkeypatch):
    model, path, _ = exported
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(SCRIPT.parent)
    Path("model.onnx").symlink_to(path)
    model.save_model("output/quickstart/best_model")
    cv2.imwrite("photo.jpg", noise(64, 96))
    metadata = metadata_of(model.network.card, model.test_transforms, 32)
    network = ExportableRCNN(model.network.module, None)
    write_torchscript(network, tmp_path / "model.torchscript.pt", 3, 0.1, metadata)
    names = {"image": torch.rand(3, 64, 96) * 255}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(code, PAGE.name, "exec"), names)
    assert names["labels"] == model.labels
    assert len(names["boxes"]) > 5


def test_a_step_it_does_not_know_is_said(script):
    about = {"channel_order": "BGR", "steps": [{"name": "CLAHE"}]}
    with pytest.raises(AssertionError, match="add CLAHE to this script"):
        script.prepare(noise(8, 8), about)


@pytest.mark.parametrize("window", [(0, 0, 7, 5), (3, 2, 4, 3), (0, 0, 3, 5), (6, 4, 1, 1)])
def test_run_lengths_are_those_of_pycocotools(script, window):
    left, top, width, height = window
    bits = np.random.default_rng(left).integers(0, 2, (height, width)).astype(bool)
    whole = np.zeros((5, 7), np.uint8)
    whole[top : top + height, left : left + width] = bits
    expected = coco_mask.encode(np.asfortranarray(whole))["counts"].decode()
    assert script.rle((left, top, bits), 5, 7) == {"size": [5, 7], "counts": expected}


def test_it_stays_short():
    assert len(SCRIPT.read_text().splitlines()) < 120
