"""`predict` and `batch_predict` of a loaded model: the keywords, and the model in plain Detectron2."""

import inspect
import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultPredictor
from PIL import Image
from pycocotools import mask as coco_mask

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.data.datasets.drawn import draw_scene
from paddlex_maskrcnn.det import transforms
from support.untrained import LABELS, load, save_untrained


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_untrained(tmp_path_factory.mktemp("model") / "untrained")


@pytest.fixture(scope="module")
def model(model_dir):
    return load(model_dir)


def scene(index=0, size=(64, 96)):
    return draw_scene(np.random.default_rng([1, index]), index, size)[0]


IMAGES = [scene(0), scene(1), scene(2, (64, 64)), scene(3, (64, 64)), scene(4)]


def same(found, expected, scores=1e-5):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one["category_id"] == other["category_id"]
        assert one["bbox"] == pytest.approx(other["bbox"], abs=1e-3)
        assert one["score"] == pytest.approx(other["score"], abs=scores)
        assert (one["mask"] != other["mask"]).mean() < 1e-3


def test_paddlex_calls_still_work(model, tmp_path):
    """Positional arguments as documented; new ones have names only."""
    path = str(tmp_path / "scene.png")
    cv2.imwrite(path, IMAGES[0])
    own = model.test_transforms
    same(model.predict(path, own), model.predict(IMAGES[0]))
    same(model.batch_predict([path], own)[0], model.predict(img_file=path, transforms=own))
    for method, image in (("predict", "img_file"), ("batch_predict", "img_file_list")):
        parameters = inspect.signature(getattr(model, method)).parameters.values()
        plain = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
        assert plain == [image, "transforms"]
    with pytest.raises(ValueError, match="img_file_list is str; allowed: a list"):
        model.batch_predict(path)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_batch_equals_single(model, batch_size):
    batch = model.batch_predict(IMAGES, batch_size=batch_size)
    assert sum(map(len, batch)) > 10
    for found, image in zip(batch, IMAGES, strict=True):
        same(found, model.predict(image))


def test_mask_formats(model):
    dense, rle, box = (
        model.predict(IMAGES[0], mask_format=form) for form in ("dense", "rle", "box")
    )
    assert json.loads(json.dumps(rle)) == rle
    assert len(dense) == len(rle) == len(box) > 0
    for a, b, c in zip(dense, rle, box, strict=True):
        assert a["mask"].shape == IMAGES[0].shape[:2]
        assert np.array_equal(coco_mask.decode(b["mask"]), a["mask"])
        left, top, bits = c["mask"]
        rows, columns = bits.shape
        assert np.array_equal(a["mask"][top : top + rows, left : left + columns], bits)
        assert a["mask"].sum() == bits.sum()
    same(pickle.loads(pickle.dumps(dense)), dense)


def test_score_threshold(model):
    every = model.predict(IMAGES[0])
    middle = every[len(every) // 2]["score"]
    found = model.predict(IMAGES[0], score_threshold=middle)
    assert 0 < len(found) < len(every)
    same(found, every[: len(found)])
    with pytest.raises(ValueError, match=r"score_threshold is 0.05, .* everything below 0.1 "):
        model.predict(IMAGES[0], score_threshold=0.05)


def test_tiles(model):
    """With one tile the same; with more, objects from everywhere, at the tiles' own scale."""
    image = scene(5, (160, 160))
    same(model.predict(image, tile=160), model.predict(image))
    assert len(model.predict(image)) == 10, "keep_top_k"
    found = model.predict(image, tile=(64, 96), overlap=0.3)
    assert len(found) > 10
    assert [one["score"] for one in found] == sorted((o["score"] for o in found), reverse=True)
    for one in found:
        x, y, width, height = one["bbox"]
        assert 0 <= x < x + width <= 160
        assert 0 <= y < y + height <= 160
        assert one["mask"].shape == (160, 160)
    same(found, model.batch_predict([image], tile=(64, 96), overlap=0.3, batch_size=1)[0])


def test_a_tile_is_predicted_as_an_image_of_its_own(model):
    """Far from any border of a tile, the same objects as of the cut-out part."""
    image = scene(6, (128, 128))
    part = model.predict(np.ascontiguousarray(image[:64, :64]))
    inside = [one for one in part if sum(one["bbox"][::2]) < 40 and sum(one["bbox"][1::2]) < 40]
    found = model.predict(image, tile=64, overlap=0.2)
    assert inside
    for one in inside:
        twins = [other for other in found if other["bbox"] == pytest.approx(one["bbox"], abs=1e-3)]
        assert [other["score"] for other in twins] == pytest.approx([one["score"]], abs=1e-5)


def test_loading_warm(model_dir):
    same(load(model_dir, warm=True).predict(IMAGES[0]), load(model_dir).predict(IMAGES[0]))


def test_a_model_without_transforms_loads_and_takes_those_given(tmp_path):
    model = load(save_untrained(tmp_path / "bare", transforms=None), warm=True)
    with pytest.raises(ValueError, match="transforms are needed"):
        model.predict(IMAGES[0])
    assert model.predict(IMAGES[0], transforms.Compose([transforms.ResizeByShort(64)]))


def test_default_predictor_finds_the_same(model, model_dir):
    """On an image that needs no resizing: Detectron2 resizes with Pillow."""
    image = IMAGES[2]
    assert image.shape[:2] == (64, 64)
    cfg = pdx.det.default_predictor_cfg(model_dir, "cpu")
    assert MetadataCatalog.get(cfg.DATASETS.TEST[0]).thing_classes == LABELS
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST) == (64, 96)
    instances = DefaultPredictor(cfg)(image)["instances"]
    found = pdx.det.to_instances(model.predict(image), 64, 64)
    assert len(found) == len(instances) > 0
    assert torch.allclose(found.pred_boxes.tensor, instances.pred_boxes.tensor, atol=1e-3)
    assert torch.allclose(found.scores, instances.scores, atol=1e-5)
    assert torch.equal(found.pred_classes, instances.pred_classes)
    assert (found.pred_masks != instances.pred_masks).float().mean() < 1e-3


def test_default_predictor_warns_of_what_it_cannot_do(tmp_path, caplog):
    fixed = transforms.Compose([transforms.Resize(64)])
    cfg = pdx.det.default_predictor_cfg(save_untrained(tmp_path / "fixed", transforms=fixed))
    assert "predict applies Resize first, which DefaultPredictor cannot" in caplog.text
    assert cfg.INPUT.MIN_SIZE_TEST == 0


@pytest.mark.parametrize("tile", [None, 48])
def test_pillow_pictures_are_files(model, tmp_path, tile):
    path = str(tmp_path / "scene.png")
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(IMAGES[0][:, :, ::-1]).save(path, exif=exif)
    expected = model.predict(path, tile=tile)
    assert expected[0]["mask"].shape == IMAGES[0].shape[1::-1]
    same(model.predict(Image.open(path), tile=tile), expected)
    same(model.batch_predict([IMAGES[1], Image.open(path)], tile=tile)[1], expected)
    drawn = pdx.det.visualize(Image.open(path), expected, save_dir=None)
    np.testing.assert_array_equal(drawn, pdx.det.visualize(path, expected, save_dir=None))


@pytest.mark.parametrize("tile", [None, 48])
def test_what_is_no_picture_is_named_with_its_position(model, tile):
    for wrong, words in (
        (IMAGES[0] / 255, "float64 values from 0"),
        (torch.zeros(3, 9, 9), "torch.Tensor"),
        (np.full((9, 9, 3), np.nan), "NaN"),
    ):
        with pytest.raises(ValueError, match=f"image 1 of the list: .*{words}"):
            model.batch_predict([IMAGES[0], wrong], tile=tile)
        with pytest.raises(ValueError, match=words):
            model.predict(wrong, tile=tile)
    with pytest.raises(ValueError, match=r"^image 'https://a\.org/b\.jpg' is an address"):
        model.batch_predict([IMAGES[0], "https://a.org/b.jpg"], tile=tile)
