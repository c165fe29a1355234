"""Limits in which one NMS must become another, and cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from paddlex_maskrcnn.modeling.nms import NMSSettings, diou_nms, hard_nms, matrix_nms, soft_nms


def concentric(num):
    """Boxes of one class with the same centre."""
    torch.manual_seed(0)
    half = torch.rand(num, 2) * 20 + 5
    boxes = torch.cat([50 - half, 50 + half], dim=1)
    return boxes, torch.rand(num), torch.zeros(num, dtype=torch.int64)


def test_diou_of_concentric_boxes_is_hard():
    keep, scores = diou_nms(*concentric(100), NMSSettings(0.7))
    expected, expected_scores = hard_nms(*concentric(100), NMSSettings(0.7))
    assert 1 < len(expected) < 100
    assert torch.equal(keep, expected)
    assert torch.equal(scores, expected_scores)


def test_diou_keeps_neighbours_hard_drops():
    """Shifted by a quarter: IoU 3 / 5; centres 2.5 apart, diagonal^2 12.5^2 + 10^2."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [2.5, 0, 12.5, 10]])
    scores, classes = torch.tensor([0.9, 0.8]), torch.tensor([0, 0])
    diou = 0.6 - 2.5**2 / (12.5**2 + 10**2)
    assert len(hard_nms(boxes, scores, classes, NMSSettings(0.59))[0]) == 1
    assert len(diou_nms(boxes, scores, classes, NMSSettings(diou + 1e-4))[0]) == 2
    assert len(diou_nms(boxes, scores, classes, NMSSettings(diou - 1e-4))[0]) == 1


@pytest.mark.parametrize("nms", [hard_nms, diou_nms])
def test_an_overlap_of_exactly_the_threshold_is_allowed(nms):
    """Half of the box around the same centre: IoU 1 / 2."""
    boxes = torch.tensor([[0.0, 0, 4, 4], [0.0, 1, 4, 3]])
    arguments = (boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 0]))
    assert len(nms(*arguments, NMSSettings(0.5))[0]) == 2
    assert len(nms(*arguments, NMSSettings(0.499))[0]) == 1


def test_soft_with_a_wide_gaussian_keeps_all_scores():
    boxes, scores, classes = concentric(50)
    keep, kept = soft_nms(boxes, scores, classes, NMSSettings(sigma=1e12, score_threshold=0.0))
    assert torch.equal(kept, scores.sort(descending=True).values)
    assert torch.equal(scores[keep], kept)


def test_soft_with_a_narrow_gaussian_drops_all_that_overlap():
    boxes, scores, classes = concentric(50)
    keep, _ = soft_nms(boxes, scores, classes, NMSSettings(sigma=1e-6))
    assert keep.tolist() == [int(scores.argmax())]


def test_soft_by_hand():
    """Half of the box: IoU 1 / 2, so 0.8 becomes 0.8 exp(-0.25 / 0.5); another class is safe."""
    boxes = torch.tensor([[0.0, 0, 4, 4], [0.0, 0, 4, 2], [0.0, 0, 4, 2]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([3, 3, 1])
    keep, kept = soft_nms(boxes, scores, classes, NMSSettings(sigma=0.5))
    assert keep.tolist() == [0, 2, 1]
    assert kept.tolist() == pytest.approx([0.9, 0.7, 0.8 * math.exp(-0.5)])
    keep, _ = soft_nms(boxes, scores, classes, NMSSettings(sigma=0.5, score_threshold=0.49))
    assert keep.tolist() == [0, 2]


def test_matrix_by_hand():
    """B overlaps A by 1/2; C overlaps B by 1/2, A not: B may take only half / half of C."""
    boxes = torch.tensor([[0.0, 0, 2, 1], [0.0, 0, 1, 1], [0.0, 0, 1, 0.5]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.int64)
    keep, kept = matrix_nms(boxes, scores, classes, NMSSettings())
    assert keep.tolist() == [0, 2, 1]
    assert kept.tolist() == pytest.approx([0.9, 0.7 * 0.75, 0.8 * 0.5])


def test_matrix_drops_a_repeated_box_however_often():
    boxes = torch.tensor([[0.0, 0, 2, 1]]).repeat(4, 1)
    scores, classes = torch.tensor([0.6, 0.9, 0.8, 0.7]), torch.zeros(4, dtype=torch.int64)
    assert matrix_nms(boxes, scores, classes, NMSSettings())[0].tolist() == [1]


@pytest.mark.parametrize("top_k", [1, 3, 20])
def test_stopping_early_changes_nothing(top_k):
    """The best of a few equals the best of all, though soft-NMS reorders."""
    torch.manual_seed(1)
    corner = torch.rand(300, 2) * 60
    boxes = torch.cat([corner, corner + 30], dim=1)
    arguments = (boxes, torch.rand(300), torch.randint(5, (300,)))
    for nms in (soft_nms, diou_nms, matrix_nms):
        everything = nms(*arguments, NMSSettings())
        few = nms(*arguments, NMSSettings(top_k=top_k))
        for got, expected in zip(few, everything, strict=True):
            assert torch.equal(got, expected[:top_k])
