"""Matches on a GPU against Detectron2's matcher."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.matcher import Matcher

from paddlex_maskrcnn.modeling.matching import TouchingMatcher

THRESHOLDS, LABELS = [0.3, 0.7], [0, -1, 1]


@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("num_objects", [0, 1, 6])
def test_equals_detectron2(low_quality, num_objects, device):
    """With ties, as two anchors may overlap an object alike."""
    overlaps = torch.rand(num_objects, 300, generator=torch.Generator().manual_seed(0))
    overlaps = (overlaps * 20).round() / 20
    expected = Matcher(THRESHOLDS, LABELS, low_quality)(overlaps)
    found = TouchingMatcher(THRESHOLDS, LABELS, low_quality)(overlaps.to(device))
    assert torch.equal(found[1].cpu(), expected[1])
    assert found[1].dtype == expected[1].dtype
    matched = (
        overlaps.gather(0, torch.stack([found[0].cpu(), expected[0]])) if num_objects else None
    )
    assert matched is None or torch.equal(*matched)  # of equal ones any


def test_an_object_that_nothing_touches_gets_nothing(device):
    overlaps = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.2, 0.0]])
    for place in (torch.device("cpu"), device):
        _, labels = TouchingMatcher(THRESHOLDS, LABELS, True)(overlaps.to(place))
        assert labels.tolist() == [0, 1, 0]
