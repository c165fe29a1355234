"""Masks kept by the number of their object, drawn as Detectron2 draws copies of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.structures import BitMasks, PolygonMasks

from paddlex_maskrcnn.modeling.picked_masks import PickedMasks
from paddlex_maskrcnn.modeling.read_boxes import ReadBoxes

ROWS = torch.tensor([2, 0, 2, 2])
BOXES = torch.tensor([[0.0, 0, 20, 20], [3.3, 4.1, 17.2, 18.8], [-2, 5, 40, 30], [9, 9, 9.5, 9.5]])


def masks(kind):
    if kind == "bits":
        return BitMasks(torch.rand(3, 30, 40, generator=torch.Generator().manual_seed(0)) > 0.5)
    shapes = [
        [[2, 2, 20, 3, 15, 18]],
        [[0, 0, 9, 0, 9, 9]],
        [[5, 5, 30, 5, 30, 28], [1, 1, 4, 1, 4, 4]],
    ]
    return PolygonMasks([[np.array(part, float) for part in one] for one in shapes])


@pytest.mark.parametrize("kind", ["bits", "polygons"])
def test_equal_copies(kind):
    picked, copies = PickedMasks(masks(kind), ROWS), masks(kind)[ROWS]
    expected = copies.crop_and_resize(BOXES, 28)
    assert torch.equal(picked.crop_and_resize(BOXES, 28), expected)
    some = torch.tensor([True, False, True, False])
    assert torch.equal(picked[some].crop_and_resize(BOXES[some], 28), expected[some])
    assert len(picked[some].to("cpu")) == 2


@pytest.mark.parametrize("kind", ["bits", "polygons"])
def test_drawn_without_asking_the_device(kind, device):
    """What the host knows of rows and boxes is enough; it may also know nothing."""
    expected = masks(kind)[ROWS].crop_and_resize(BOXES, 28)
    there = masks(kind).to(device)
    known = PickedMasks(there, ROWS.to(device), ROWS)
    boxes = ReadBoxes(BOXES.to(device), BOXES)
    assert torch.equal(known.draw(boxes, 28).cpu(), expected)
    assert torch.equal(known[1:3].draw(boxes[1:3], 28).cpu(), expected[1:3])
    unknown = PickedMasks(there, ROWS.to(device)).crop_and_resize(BOXES.to(device), 28)
    assert unknown.device == boxes.tensor.device
    assert torch.equal(unknown.cpu(), expected)
