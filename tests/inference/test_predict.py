"""Batches, thresholds, tiles and memory of `predict_images`, with a module that finds what it is told."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from pycocotools import mask as coco_mask

from paddlex_maskrcnn.data.transforms import Compose, Padding, Resize, ResizeByShort
from paddlex_maskrcnn.inference.predict import PredictOptions, predict_images, warm_up
from paddlex_maskrcnn.modeling.box_predictor import PaddleXBoxPredictor

AS_IT_IS = Compose([ResizeByShort(64, 0)])


class Predictor:
    """With the threshold of our box predictor, which may be another one for a while."""

    test_score_thresh = test_nms_thresh = nms_sigma = 0.5
    test_topk_per_image = -1
    nms_settings = PaddleXBoxPredictor.nms_settings


class BrightSquares(torch.nn.Module):
    """Finds each bright square of an image, with the squares' values as scores."""

    def __init__(self):
        super().__init__()
        self.batches = []
        self.predictor = Predictor()
        self.thresholds = []

    def inference(self, inputs, do_postprocess):
        self.batches.append(len(inputs))
        self.thresholds.append(self.predictor.nms_settings.score_threshold)
        return [self.look(one["image"][0]) for one in inputs]

    def look(self, plane):
        values = [value for value in plane.unique().tolist() if value > 100]
        boxes = []
        for value in values:
            rows, columns = torch.nonzero(plane == value, as_tuple=True)
            boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        found = Instances(tuple(plane.shape))
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        found.scores = torch.tensor(values) / 255
        found.pred_classes = torch.zeros(len(values), dtype=torch.int64)
        found.pred_masks = torch.ones(len(values), 1, 28, 28)
        return found


@pytest.fixture
def network():
    card = SimpleNamespace(
        labels=["square"],
        params=SimpleNamespace(score_threshold=0.4, input_channel=3),
        input_format=SimpleNamespace(channel_order="BGR"),
    )
    device = torch.device("cpu")
    return SimpleNamespace(module=BrightSquares(), card=card, device=device)


def scene(*squares, size=(64, 64)):
    image = np.zeros((*size, 3), np.uint8)
    for x, y, side, value in squares:
        image[y : y + side, x : x + side] = value
    return image


SCENE = scene((4, 6, 10, 150), (30, 20, 20, 250), (5, 40, 12, 200))


def predict(network, images, transforms=AS_IT_IS, **options):
    return predict_images(network, images, transforms, PredictOptions(**options))


def test_best_first(network):
    (found,) = predict(network, [SCENE])
    assert [one["bbox"] for one in found] == [[30, 20, 20, 20], [5, 40, 12, 12], [4, 6, 10, 10]]
    assert np.array_equal(found[0]["mask"], SCENE[:, :, 0] == 250)


@pytest.mark.parametrize(("threshold", "count"), [(None, 3), (0.4, 3), (200 / 255, 2), (1.0, 0)])
def test_threshold(network, threshold, count):
    """An object whose score is the threshold stays."""
    (found,) = predict(network, [SCENE], score_threshold=threshold)
    assert len(found) == count


@pytest.mark.parametrize("size", [1, 3, 8])
def test_batches_of_one_shape(network, size):
    images = [scene((k, 2, 9, 111 + k), size=(64, 64 + 32 * (k % 2))) for k in range(10)]
    found = predict(network, images, batch_size=size, mask_format="rle")
    assert max(network.module.batches) == min(size, 5)
    assert found == [predict(network, [image], mask_format="rle")[0] for image in images]
    assert [one["bbox"][0] for (one,) in found] == list(range(10))


def test_nothing_to_do(network):
    assert predict(network, []) == []


@pytest.mark.parametrize(
    ("tile", "transforms"), [(32, Resize(64, "NEAREST")), ((32, 40), ResizeByShort(32))]
)
def test_tiles(network, tile, transforms):
    """A tile is an image of its own for the transforms: the small ones are doubled here."""
    (whole,) = predict(network, [SCENE], mask_format="rle")
    (found,) = predict(
        network,
        [SCENE],
        Compose([transforms]),
        tile=tile,
        overlap=0.4,
        mask_format="rle",
        batch_size=3,
    )
    assert [one["bbox"] for one in found] == [one["bbox"] for one in whole]
    assert [one["score"] for one in found] == [one["score"] for one in whole]
    for one, expected in zip(found, whole, strict=True):
        assert np.array_equal(coco_mask.decode(one["mask"]), coco_mask.decode(expected["mask"]))
    assert max(network.module.batches) == 3


def test_a_tile_as_large_as_the_image_changes_nothing(network):
    assert predict(network, [SCENE], tile=64, mask_format="rle") == predict(
        network, [SCENE], mask_format="rle"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_threshold": 0.3}, r"score_threshold is 0\.3, but .* everything below 0\.4"),
        ({"score_threshold": 1.5}, r"score_threshold is 1\.5; allowed: 0 to 1"),
        ({"score_threshold": "high"}, r"score_threshold is 'high'; allowed"),
        ({"score_threshold": float("nan")}, r"score_threshold is nan; allowed"),
        ({"mask_format": "RLE "}, r"mask_format is 'RLE '; choose one of dense, rle, box"),
        ({"mask_format": "boxes"}, r"did you mean 'box'\?"),
        ({"batch_size": 0}, r"batch_size is 0; allowed: an integer >= 1"),
        ({"batch_size": True}, r"batch_size is True"),
        ({"tile": 8}, r"tile is 8; allowed: pixels >= 16, one number or \(height, width\)"),
        ({"tile": (64,)}, r"tile is \(64,\)"),
        ({"tile": 64.0}, r"tile is 64\.0"),
        ({"overlap": 0}, r"overlap is 0; allowed: > 0 and < 1"),
        ({"overlap": 20}, r"overlap is 20; allowed"),
    ],
)
def test_mistakes(network, options, message):
    with pytest.raises(ValueError, match=message):
        predict(network, [SCENE], **options)
    assert network.module.batches == []


def test_operators_that_refuse_the_noise_are_left_cold(network):
    warm_up(network, Compose([Padding(target_size=400)]))


def test_warming_up_reaches_the_masks_and_leaves_no_trace(network):
    warm_up(network, AS_IT_IS)
    assert network.module.thresholds == [0.0]
    assert network.module.predictor.nms_settings.score_threshold == 0.5


class Hundred(torch.nn.Module):
    """Finds a hundred round objects, up to the size of the image, a tenth of it on average."""

    def inference(self, inputs, do_postprocess):
        height, width = inputs[0]["image"].shape[1:]
        found = Instances((height, width))
        side, corner = torch.linspace(0.05, 1, 100)[:, None] ** 2.5, torch.zeros(100, 2)
        found.pred_boxes = Boxes(torch.cat([corner, side * width, side * height], dim=1))
        found.scores = torch.linspace(0.9, 0.5, 100)
        found.pred_classes = torch.zeros(100, dtype=torch.int64)
        away = torch.linspace(-1, 1, 28) ** 2
        found.pred_masks = (0.9 - (away[:, None] + away) / 2).expand(100, 1, 28, 28)
        return [found]


@pytest.mark.parametrize("mask_format", ["rle", "dense"])
def test_a_hundred_masks_of_a_large_image_take_little_memory(network, mask_format):
    """12 megapixels; all of them at once would take 1200 MB dense and 200 MB in their boxes."""
    network.module = Hundred()
    image = np.zeros((3000, 4000, 3), np.uint8)
    tracemalloc.start()
    try:
        (found,) = predict(network, [image], mask_format=mask_format)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100e6
    largest = found[-1]["mask"]
    area = largest.sum() if mask_format == "dense" else coco_mask.area(largest)
    assert area == pytest.approx(7e6, rel=0.1)
