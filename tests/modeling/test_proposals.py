"""Proposals of a whole batch at once against Detectron2's, image by image."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.structures import Boxes

from paddlex_maskrcnn.modeling import proposals as module
from paddlex_maskrcnn.modeling.proposals import (
    ProposalSettings,
    best_candidates,
    choose_proposals,
)

SIZES = [(96, 128), (64, 90), (128, 100)]
LEVELS = (700, 200, 40)
TRANSFORM = Box2BoxTransform((1.0, 1.0, 1.0, 1.0))


def outputs(spread=0.3):
    """Anchors (R, 4), objectness (N, R) and deltas (N, R, 4) of three levels."""
    generator = torch.Generator().manual_seed(0)
    anchors, logits, deltas = [], [], []
    for level, count in enumerate(LEVELS):
        centre = torch.rand(count, 2, generator=generator) * 120
        side = 8 * 2**level * (0.5 + torch.rand(count, 2, generator=generator))
        anchors.append(Boxes(torch.cat([centre - side, centre + side], 1)))
        logits.append(torch.randn(len(SIZES), count, generator=generator))
        deltas.append(torch.randn(len(SIZES), count, 4, generator=generator) * spread)
    return anchors, logits, deltas


def expected(anchors, logits, deltas, settings, training=True):
    decoded = [
        TRANSFORM.apply_deltas(
            delta.reshape(-1, 4), anchor.tensor.expand(len(SIZES), -1, -1).reshape(-1, 4)
        ).view(delta.shape)
        for anchor, delta in zip(anchors, deltas, strict=True)
    ]
    chosen = settings.iou_threshold, settings.pre_nms, settings.post_nms, settings.min_size
    return find_top_rpn_proposals(decoded, logits, SIZES, *chosen, training)


def found(anchors, logits, deltas, settings, device, training=True):
    there = [Boxes(one.tensor.to(device)) for one in anchors]
    moved = [[one.to(device) for one in part] for part in (logits, deltas)]
    candidates = best_candidates(there, *moved, TRANSFORM, settings.pre_nms)
    return choose_proposals(candidates, SIZES, settings, training)


def assert_same(got, wanted):
    for mine, theirs in zip(got, wanted, strict=True):
        assert mine.image_size == theirs.image_size
        assert torch.equal(mine.objectness_logits.cpu(), theirs.objectness_logits)
        boxes = mine.proposal_boxes.tensor.cpu(), theirs.proposal_boxes.tensor
        torch.testing.assert_close(*boxes, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        ProposalSettings(300, 50, 0.7, 0.0),
        ProposalSettings(1000, 1000, 0.7, 0.0),  # more than there are
        ProposalSettings(300, 60, 0.5, 20.0),  # many are too small
        ProposalSettings(30, 5, 0.3, 500.0),  # all are
    ],
    ids=str,
)
@pytest.mark.parametrize("at_once", [1, 2000, 25_000])
def test_equals_detectron2(settings, at_once, device, monkeypatch):
    """One image a call of NMS, or two, or all."""
    monkeypatch.setattr(module, "MOST_BOXES", at_once)
    values = outputs()
    wanted = expected(*values, settings)
    assert_same(found(*values, settings, device), wanted)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", [1, 2])
def test_not_finite(part, value, device):
    """Dropped in prediction; in training the run has diverged."""
    settings, values = ProposalSettings(300, 50, 0.7, 0.0), outputs()
    values[part][0][1, 3:9] = value
    if part == 2:
        values[1][0][1, 3:9] = 9.0  # among the best of its level
    wanted = expected(*values, settings, training=False)
    assert_same(found(*values, settings, device, training=False), wanted)
    with pytest.raises(FloatingPointError, match="diverged"):
        found(*values, settings, device)


def test_the_host_knows_the_boxes_in_prediction(device):
    settings, values = ProposalSettings(300, 50, 0.7, 0.0), outputs()
    for one in found(*values, settings, device, training=False):
        assert torch.equal(one.proposal_boxes.on_host, one.proposal_boxes.tensor.cpu())
        assert len(one) == 50
