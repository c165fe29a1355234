"""Region pooling of boxes that name their last pixel."""

import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torchvision.ops import roi_align

from paddlex_maskrcnn.modeling.inclusive_pooling import end_at_last_pixel


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
