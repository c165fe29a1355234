"""Masks pasted inside their boxes only, and images of several shapes in one call."""

import numpy as np
import pytest
import torch
from detectron2.layers import paste_masks_in_image
from detectron2.structures import Boxes, Instances
from pycocotools import mask as coco_mask

from paddlex_maskrcnn.engine.detection import BoxMask
from paddlex_maskrcnn.engine.inference import detect, paste_in_box

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
