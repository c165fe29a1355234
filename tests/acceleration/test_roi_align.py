"""RoIAlign as sums of pixels against torchvision's, values and gradients."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes

from paddlex_maskrcnn.acceleration import accelerate
from paddlex_maskrcnn.modeling.conventions import end_at_last_pixel

HEIGHT, WIDTH = 96, 128
EDGES = [[0, 0, 0, 0], [-20, -9, 30, 20], [100, 70, 160, 130], [0, 0, 128, 96], [5, 5, 5.5, 90]]


def pooled(
    layout, prepare, ratio=0, size=7, kind="ROIAlignV2", inclusive=False, scales=(1 / 4, 1 / 8)
):
    """Output and gradients of the maps for boxes of every size, also empty and outside the image."""
    generator = torch.Generator().manual_seed(0)
    pooler = ROIPooler(size, scales, ratio, kind, canonical_box_size=40, canonical_level=2)
    prepare(pooler)
    if inclusive:
        end_at_last_pixel(pooler)
    maps = [
        torch.randn(2, 5, int(HEIGHT * scale), int(WIDTH * scale), generator=generator)
        .contiguous(memory_format=layout)
        .requires_grad_()
        for scale in scales
    ]
    corner = torch.rand(60, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    side = torch.exp(torch.rand(60, 2, generator=generator) * 5)
    boxes = torch.cat([corner, corner + side], dim=1)
    out = pooler(maps, [Boxes(boxes), Boxes(torch.tensor(EDGES, dtype=torch.float32))])
    out.backward(torch.randn(out.shape, generator=generator))
    return out, [level.grad for level in maps]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ratio": 2, "size": 3},
        {"kind": "ROIAlign"},
        {"inclusive": True},
        {"scales": (1 / 8,), "size": 14},
    ],
    ids=str,
)
def test_equals_torchvision(layout, settings):
    output, gradients = pooled(layout, accelerate, **settings)
    expected, wanted = pooled(layout, lambda pooler: pooler, **settings)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)
    for mine, theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-3)


def test_no_boxes():
    pooler = ROIPooler(7, [1 / 4, 1 / 8], 0, "ROIAlignV2", canonical_level=2)
    accelerate(pooler)
    maps = [torch.ones(1, 3, 8, 8, requires_grad=True), torch.ones(1, 3, 4, 4)]
    out = pooler(maps, [Boxes(torch.zeros(0, 4))])
    assert out.shape == (0, 3, 7, 7)
    out.sum().backward()
    assert maps[0].grad.abs().sum() == 0
