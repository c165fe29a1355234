"""Masks referred to by the number of their object, drawn as Detectron2 draws copies of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.structures import BitMasks, PolygonMasks

from paddlex_maskrcnn.acceleration.masks import MatchedMasks

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
    return PolygonMasks([[np.array(part, float) for part in shape] for shape in shapes])


@pytest.mark.parametrize("kind", ["bits", "polygons"])
def test_equal_copies(kind):
    matched, copies = MatchedMasks(masks(kind), ROWS), masks(kind)[ROWS]
    expected = copies.crop_and_resize(BOXES, 28)
    assert torch.equal(matched.crop_and_resize(BOXES, 28), expected)
    some = torch.tensor([True, False, True, False])
    assert torch.equal(matched[some].crop_and_resize(BOXES[some], 28), expected[some])
    assert len(matched[some].to("cpu")) == 2
