"""Masks pasted inside their boxes only, and images of several shapes in one call."""

import pickle

import numpy as np
import pytest
import torch
from detectron2.layers import paste_masks_in_image
from detectron2.structures import Boxes, Instances
from pycocotools import mask as coco_mask

from paddlex_maskrcnn.inference.detections import (
    BoxMask,
    HeadMask,
    detect,
    detect_each,
    paste_in_box,
)

HEIGHT, WIDTH = 60, 80
BOXES = {
    "inside": [10.3, 12.7, 41.2, 50.9],
    "whole pixels": [10.0, 12.0, 42.0, 50.0],
    "at the corner": [0.0, 0.0, 9.5, 7.25],
    "over the border": [60.4, 40.1, 80.0, 60.0],
    "whole image": [0.0, 0.0, 80.0, 60.0],
    "thin": [20.2, 5.0, 20.9, 55.0],
    "smaller than a pixel": [33.3, 33.3, 33.6, 33.6],
}


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("side", [14, 28])
def test_equals_pasting_onto_the_whole_image(box, side):
    generator = torch.Generator().manual_seed(0)
    mask, box = torch.rand(side, side, generator=generator), torch.tensor(box)
    expected = paste_masks_in_image(mask[None], box[None], (HEIGHT, WIDTH), 0.5)[0].numpy()
    found = paste_in_box(mask, box, HEIGHT, WIDTH)
    assert np.array_equal(found.dense(HEIGHT, WIDTH), expected)
    assert np.array_equal(coco_mask.decode(found.rle(HEIGHT, WIDTH)), expected)
    assert found.bits.size <= (box[2] - box[0] + 4) * (box[3] - box[1] + 4), (
        "only the window is kept"
    )


def test_equals_pasting_onto_the_whole_image_for_any_box():
    generator = torch.Generator().manual_seed(3)
    different = 0
    for _ in range(100):
        mask, corners = (
            torch.rand(28, 28, generator=generator),
            torch.rand(2, 2, generator=generator),
        )
        box = (corners.sort(dim=0).values * torch.tensor([WIDTH, HEIGHT])).reshape(4)
        expected = paste_masks_in_image(mask[None], box[None], (HEIGHT, WIDTH), 0.5)[0].numpy()
        found = paste_in_box(mask, box, HEIGHT, WIDTH).dense(HEIGHT, WIDTH)
        different += int((found != expected).sum())
    assert different == 0


@pytest.mark.parametrize("strip", [1, 100, 2**20])
def test_pasting_in_strips_changes_nothing(monkeypatch, strip):
    """Large boxes are pasted a few rows at a time."""
    monkeypatch.setattr("paddlex_maskrcnn.inference.detections._STRIP", strip)
    mask = torch.rand(28, 28, generator=torch.Generator().manual_seed(1))
    for box in map(torch.tensor, BOXES.values()):
        expected = paste_masks_in_image(mask[None], box[None], (HEIGHT, WIDTH), 0.5)[0].numpy()
        assert np.array_equal(paste_in_box(mask, box, HEIGHT, WIDTH).dense(HEIGHT, WIDTH), expected)


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_mask_of_the_head_is_pasted_when_read(box):
    """And stands where its tile stands in the image."""
    mask, box = torch.rand(28, 28, generator=torch.Generator().manual_seed(2)), torch.tensor(box)
    at_once = paste_in_box(mask, box, HEIGHT, WIDTH)
    later = pickle.loads(pickle.dumps(HeadMask(mask, box, (HEIGHT, WIDTH))))
    assert (later.x, later.y) == (at_once.x, at_once.y)
    assert np.array_equal(later.bits, at_once.bits)
    assert later.rle(HEIGHT, WIDTH) == at_once.rle(HEIGHT, WIDTH)
    moved = HeadMask(mask, box, (HEIGHT, WIDTH), corner=(7, 9)).dense(HEIGHT + 20, WIDTH + 20)
    assert np.array_equal(moved[9 : 9 + HEIGHT, 7 : 7 + WIDTH], at_once.dense(HEIGHT, WIDTH))
    assert moved.sum() == at_once.bits.sum()


def test_empty_mask():
    mask = BoxMask(3, 4, np.zeros((5, 6), dtype=np.uint8))
    assert mask.dense(HEIGHT, WIDTH).sum() == 0
    assert coco_mask.area(mask.rle(HEIGHT, WIDTH)) == 0


class OneBoxEach(torch.nn.Module):
    """Finds one box in each image, its upper half; notes which shapes ran together."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def inference(self, inputs, do_postprocess):
        assert not do_postprocess
        self.batches.append([tuple(one["image"].shape) for one in inputs])
        results = []
        for one in inputs:
            height, width = one["image"].shape[1:]
            found = Instances((height, width))
            found.pred_boxes = Boxes(torch.tensor([[0.0, 0.0, width, height / 2]]))
            found.scores, found.pred_classes = torch.tensor([0.5]), torch.tensor([1])
            found.pred_masks = torch.ones(1, 1, 28, 28)
            results.append(found)
        return results


def test_only_equal_shapes_run_together_and_order_is_kept():
    shapes = [(10, 20), (20, 10), (10, 20)]
    inputs = [
        {"image": torch.zeros(3, *shape), "height": 4 * shape[0], "width": 2 * shape[1]}
        for shape in shapes
    ]
    module = OneBoxEach()
    found = detect(module, inputs)
    assert module.batches == [[(3, 10, 20), (3, 10, 20)], [(3, 20, 10)]]
    for (height, width), (detection,) in zip(shapes, found, strict=True):
        assert detection.box == (0, 0, 2 * width, 2 * height)
        assert (detection.score, detection.class_index) == (0.5, 1)
        assert detection.mask.dense(4 * height, 2 * width).sum() == 2 * height * 2 * width


def blank(height, width):
    return {"image": torch.zeros(3, height, width), "height": height, "width": width}


def test_batches_are_bounded_and_few_images_wait():
    """A list that mixes shapes still fills its batches, and holds no more than four at a time."""
    module, taken, ahead = OneBoxEach(), [], []

    def inputs():
        for i in range(40):
            taken.append(i)
            yield blank(8, 8 + i % 5)

    places = []
    for place, _ in detect_each(module, inputs(), 3):
        places.append(place)
        ahead.append(len(taken) - len(places))
    assert sorted(places) == list(range(40))
    assert max(map(len, module.batches)) == 3
    assert sum(len(batch) == 3 for batch in module.batches) == 10, "the rest is what was left"
    assert max(ahead) < 12


def test_many_shapes_run_before_all_are_read():
    module, taken = OneBoxEach(), []

    def inputs():
        for i in range(30):
            taken.append(i)
            yield blank(8, 8 + i)

    next(detect_each(module, inputs(), 2))
    assert len(taken) == 8
    assert len(dict(detect_each(module, inputs(), 2))) == 30


class Unsorted(OneBoxEach):
    """Three boxes of which the last is best and the others tie."""

    def inference(self, inputs, do_postprocess):
        found = Instances((20, 20))
        corner = torch.tensor([[0.0], [1.0], [2.0]])
        found.pred_boxes = Boxes(torch.cat([corner, corner, corner + 9, corner + 9], dim=1))
        found.scores, found.pred_classes = torch.tensor([0.5, 0.5, 0.75]), torch.arange(3)
        found.pred_masks = torch.ones(3, 1, 28, 28)
        return [found for _ in inputs]


def test_best_first_and_ties_as_they_came():
    ((*found,),) = detect(Unsorted(), [blank(20, 20)])
    assert [(one.score, one.class_index) for one in found] == [(0.75, 2), (0.5, 0), (0.5, 1)]
    tile = {**blank(20, 20), "corner": (100, 200)}
    ((best, *_),) = detect(Unsorted(), [tile])
    assert best.box == (102, 202, 111, 211)
    assert (best.mask.x, best.mask.y) == (101, 201)
