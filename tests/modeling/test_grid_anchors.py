"""Anchors laid out on the device against those of the generators."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator

from paddlex_maskrcnn.modeling.foreign_anchors import (
    PaddleXAnchorGenerator,
    TorchvisionAnchorGenerator,
)
from paddlex_maskrcnn.modeling.grid_anchors import grid_anchors

SIDES = [(25, 42), (13, 21), (1, 3)]


@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize(
    "kind", [DefaultAnchorGenerator, TorchvisionAnchorGenerator, PaddleXAnchorGenerator]
)
def test_equal_the_generators(kind, offset, device):
    maps = [torch.zeros(1, 2, *side) for side in SIDES]
    generator = kind(
        sizes=[[32, 48], [64, 96], [128, 192]],
        aspect_ratios=[0.5, 1.0, 2.0],
        strides=[4, 8, 16],
        offset=offset,
    )
    expected = generator(maps)
    found = grid_anchors(generator.to(device), [one.to(device) for one in maps])
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.equal(mine.tensor.cpu(), theirs.tensor)
