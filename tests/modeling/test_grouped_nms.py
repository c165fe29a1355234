"""NMS of groups in one call against NMS of each group."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import nms

from paddlex_maskrcnn.modeling.grouped_nms import best_of_images, nms_of_groups


@pytest.mark.parametrize("num_groups", [1, 2, 7, 80])
def test_groups_do_not_meet(num_groups):
    generator = torch.Generator().manual_seed(num_groups)
    corner = torch.rand(600, 2, generator=generator) * 100
    boxes = torch.cat([corner, corner + 5 + torch.rand(600, 2, generator=generator) * 60], 1)
    boxes[::50] = 0  # no size, at the corner
    scores = torch.rand(600, generator=generator)
    groups = torch.randint(0, num_groups, (600,), generator=generator)
    kept = nms_of_groups(boxes, scores, groups, num_groups, 0.5)
    alone = []
    for group in range(num_groups):
        rows = torch.nonzero(groups == group).flatten()
        alone.append(rows[nms(boxes[rows], scores[rows], 0.5)])
    wanted = torch.cat(alone)
    assert torch.equal(kept, wanted[scores[wanted].argsort(descending=True)])
    assert 50 < len(kept) < 600


def test_no_boxes():
    none = torch.zeros(0, dtype=torch.int64)
    assert len(nms_of_groups(torch.zeros(0, 4), torch.zeros(0), none, 3, 0.5)) == 0
    slots, counts = best_of_images(none, none, 2, 0)
    assert slots.shape == (2, 0)
    assert counts.tolist() == [0, 0]


@pytest.mark.parametrize("most", [1, 2, 9])
def test_best_of_each_image(most):
    kept = torch.tensor([5, 3, 8, 1, 9, 4])
    images = torch.tensor([1, 0, 1, 3, 1, 0])  # of three images; number 3 is not wanted
    slots, counts = best_of_images(kept, images, 3, most)
    of_image = [[3, 4], [5, 8, 9], []]
    assert slots.shape == (3, most)
    for row, count, wanted in zip(slots.tolist(), counts.tolist(), of_image, strict=True):
        assert row[:count] == wanted[:most]
