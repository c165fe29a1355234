"""Anchors and pooling as torchvision and PaddleX make them."""

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import roi_align

from paddlex_maskrcnn.modeling.conventions import end_at_last_pixel

# inclusive boxes of the first place of each level, read off PaddleX 1.3.11 (paddlepaddle 1.8.5)
PADDLEX_FPN = {
    4: [[-22, -10, 25, 13], [-14, -14, 17, 17], [-10, -22, 13, 25]],
    8: [[-40, -20, 47, 27], [-28, -28, 35, 35], [-20, -44, 27, 51]],
    16: [[-84, -40, 99, 55], [-56, -56, 71, 71], [-36, -80, 51, 95]],
    32: [[-164, -76, 195, 107], [-112, -112, 143, 143], [-76, -168, 107, 199]],
    64: [[-332, -152, 395, 215], [-224, -224, 287, 287], [-148, -328, 211, 391]],
}
# behaviour notes 2.2: sides on the one map of stride 16, times size / 16
PADDLEX_C4_SIDES = [(23, 12), (16, 16), (11, 22)]


def build(name, sizes, strides, offset):
    cfg = get_cfg()
    cfg.MODEL.ANCHOR_GENERATOR.NAME = name
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = sizes
    cfg.MODEL.ANCHOR_GENERATOR.OFFSET = offset
    return build_anchor_generator(cfg, [ShapeSpec(stride=stride) for stride in strides])


def test_paddlex_with_a_pyramid():
    sizes = [[8 * stride] for stride in PADDLEX_FPN]
    generator = build("PaddleXAnchorGenerator", sizes, list(PADDLEX_FPN), 0.5)
    for found, (stride, expected) in zip(
        generator([torch.zeros(1, 1, 1, 2)] * 5), PADDLEX_FPN.items(), strict=True
    ):
        edges = torch.tensor(expected) + torch.tensor([0, 0, 1, 1])
        assert torch.equal(found.tensor[:3], edges.float())
        assert torch.equal(found.tensor[3:], edges + torch.tensor([stride, 0, stride, 0]))


def test_paddlex_without_a_pyramid():
    """Size by size, as Detectron2 orders them."""
    sizes = [32, 64, 128, 256, 512]
    [found] = build("PaddleXAnchorGenerator", [sizes], [16], 0.5)([torch.zeros(1, 1, 1, 1)])
    sides = [(w * size / 16, h * size / 16) for size in sizes for w, h in PADDLEX_C4_SIDES]
    assert torch.equal(found.tensor[:, 2:] - found.tensor[:, :2], torch.tensor(sides))
    assert torch.equal(found.get_centers(), torch.full((15, 2), 8.0))


@pytest.mark.parametrize("size", [32, 50])
def test_torchvision(size):
    theirs = AnchorGenerator(((size,),), ((0.5, 1.0, 2.0),))
    images = ImageList(torch.zeros(1, 3, 24, 32), [(24, 32)])
    [expected] = theirs(images, [torch.zeros(1, 1, 3, 4)])
    [found] = build("TorchvisionAnchorGenerator", [[size]], [8], 0.0)([torch.zeros(1, 1, 3, 4)])
    assert torch.equal(found.tensor, expected)


def test_regions_end_at_the_last_pixel_and_keep_their_level():
    """The second box has an area of exactly 224 squared: level 4, which one pixel less would not be."""
    pooler = ROIPooler(7, [1 / 8, 1 / 16], sampling_ratio=2, pooler_type="ROIAlign")
    end_at_last_pixel(pooler)
    maps = [torch.rand(1, 2, 40, 40), torch.rand(1, 2, 20, 20)]
    boxes = torch.tensor([[10.0, 20.0, 50.0, 90.0], [0.0, 0.0, 224.0, 224.0]])
    found = pooler(maps, [Boxes(boxes)])
    inclusive = torch.tensor([[10.0, 20.0, 49.0, 89.0], [0.0, 0.0, 223.0, 223.0]])
    for i, (scale, x) in enumerate(zip((1 / 8, 1 / 16), maps, strict=True)):
        expected = roi_align(x, [inclusive[i : i + 1]], 7, scale, 2, aligned=False)
        torch.testing.assert_close(found[i : i + 1], expected)


def test_no_boxes():
    pooler = ROIPooler(7, [1 / 8], sampling_ratio=0, pooler_type="ROIAlign")
    end_at_last_pixel(pooler)
    assert pooler([torch.rand(1, 2, 4, 4)], [Boxes(torch.zeros(0, 4))]).shape == (0, 2, 7, 7)
