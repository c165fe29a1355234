"""What a request would cost is known before it is computed; uploads that never end."""

import asyncio

import numpy as np
import pytest
from fastapi import Request

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.data.mapper import TestMapper
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.inference.predict import PredictOptions
from paddlex_maskrcnn.inference.tiling import num_tiles, tiles_of
from paddlex_maskrcnn.serve.limits import Limits
from paddlex_maskrcnn.serve.messages import Query, RefusalError
from paddlex_maskrcnn.serve.predictor import Predicting, Predictor


@pytest.mark.parametrize("size", [(1, 1), (100, 100), (101, 333), (16, 1000)])
@pytest.mark.parametrize("tile", [16, (16, 40), 100, 101, 2000, None])
@pytest.mark.parametrize("overlap", [0.01, 0.2, 0.5, 0.97])
def test_num_tiles(size, tile, overlap):
    options = PredictOptions(tile=tile, overlap=overlap)
    tiles = tiles_of(*size, options.tile_size or size, overlap)
    assert num_tiles(*size, options.tile_size or size, overlap) == len(tiles)


PIPELINES = [
    [transforms.ResizeByShort(64, 96)],
    [transforms.ResizeByShort([40, 64], -1), transforms.Padding(32)],
    [transforms.Resize([70, 30]), transforms.RandomHorizontalFlip(), transforms.Padding(32)],
    [transforms.Resize(50, "RANDOM"), transforms.Padding(target_size=90)],
    [transforms.Normalize()],
]


@pytest.mark.parametrize("operators", PIPELINES, ids=str)
@pytest.mark.parametrize("size", [(48, 64), (200, 31), (1, 90)])
def test_network_size(served_model, monkeypatch, operators, size):
    """As the mapper makes it."""
    pipeline = transforms.Compose(operators)
    monkeypatch.setattr(served_model.network.card, "transforms", pipeline.to_config())
    predictor = Predictor(served_model)
    sample = TestMapper(pipeline, "BGR", 3)(np.zeros((*size, 3), np.uint8))
    expected = sample.get("pad_to") or tuple(sample["image"].shape[1:])
    assert predictor.network_size(*size) == tuple(expected)


def test_models_that_cannot_predict(served_model, monkeypatch):
    with pytest.raises(ValueError, match="no weights yet"):
        Predictor(pdx.det.MaskRCNN(num_classes=2))
    monkeypatch.setattr(served_model.network.card, "transforms", None)
    with pytest.raises(ValueError, match="without transforms"):
        Predictor(served_model)


async def never():
    await asyncio.sleep(60)


async def gone():
    return {"type": "http.disconnect"}


@pytest.mark.parametrize(("receive", "status"), [(never, 408), (gone, 499)])
@pytest.mark.parametrize("kind", [b"image/png", b"multipart/form-data; boundary=x"])
def test_uploads_that_do_not_end(served_model, receive, status, kind):
    predicting = Predicting(Predictor(served_model), Limits(timeout=0.05))
    request = Request({"type": "http", "headers": [(b"content-type", kind)]}, receive)
    with pytest.raises(RefusalError) as refusal:
        asyncio.run(predicting.answer(request, Query()))
    assert refusal.value.status == status
    assert predicting.under_way == 0


def test_the_work_of_all_tiles_is_limited(served_model, monkeypatch):
    """Tiles that the transforms make large, and that share most of their pixels."""
    pipeline = transforms.Compose([transforms.ResizeByShort(200, 200)])
    monkeypatch.setattr(served_model.network.card, "transforms", pipeline.to_config())
    predictor, limits = Predictor(served_model), Limits(max_pixels=200 * 200)
    assert predictor.check_work(32, 64, PredictOptions(tile=32, overlap=0.5), limits) == 3
    with pytest.raises(
        RefusalError, match=r"5 tiles .* 200000 pixels of, more than the 160000"
    ) as refusal:
        predictor.check_work(32, 64, PredictOptions(tile=32, overlap=0.75), limits)
    assert refusal.value.status == 413
