"""Pooling with boxes the host knows against Detectron2's pooler."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes

from paddlex_maskrcnn.modeling.fast_path import plain_path
from paddlex_maskrcnn.modeling.level_pooling import spare_waits_in
from paddlex_maskrcnn.modeling.read_boxes import ReadBoxes

NUMBERS = (40, 0, 7)


def pooled(device, scales, known=True):
    """Regions and the gradients of the maps."""
    generator = torch.Generator().manual_seed(0)
    pooler = ROIPooler(5, scales, 0, "ROIAlignV2", canonical_box_size=40, canonical_level=2)
    spare_waits_in(pooler)
    sides = [(int(96 * scale), int(128 * scale)) for scale in scales]
    maps = [torch.randn(3, 4, *side, generator=generator).to(device) for side in sides]
    maps = [one.requires_grad_() for one in maps]
    boxes = []
    for number in NUMBERS:
        corner = torch.rand(number, 2, generator=generator) * 90
        side = torch.exp(torch.rand(number, 2, generator=generator) * 5)
        box = torch.cat([corner, corner + side], 1)
        boxes.append(ReadBoxes(box.to(device), box) if known else Boxes(box.to(device)))
    out = pooler(maps, boxes)
    out.backward(torch.randn(out.shape, generator=generator).to(device))
    return [one.detach().cpu() for one in (out, *(one.grad for one in maps))]


@pytest.mark.parametrize("scales", [(1 / 4, 1 / 8, 1 / 16), (1 / 8,)])
def test_equals_detectron2(scales, device):
    found = pooled(device, scales)
    with plain_path():
        expected = pooled(device, scales)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if device.type == "cuda" else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(found, expected, **tolerance)  # CUDA adds gradients in any order


def test_boxes_the_host_does_not_know(device):
    torch.testing.assert_close(
        pooled(device, (1 / 4, 1 / 8), known=False), pooled(device, (1 / 4, 1 / 8))
    )


def test_a_slice_stays_known_and_a_choice_does_not():
    tensor = torch.rand(5, 4)
    boxes = ReadBoxes(tensor, tensor.clone())
    assert torch.equal(boxes[1:3].on_host, tensor[1:3])
    chosen = boxes[torch.tensor([4, 0])]
    assert type(chosen) is Boxes
    assert torch.equal(chosen.tensor, tensor[[4, 0]])
    assert ReadBoxes(tensor)[1:3].tensor.shape == (2, 4)
