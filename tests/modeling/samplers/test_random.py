"""The random sampler draws what Detectron2 draws."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.sampling import subsample_labels

from paddlex_maskrcnn.modeling.samplers.random import random_sampler


@pytest.mark.parametrize("share_foreground", [0.0, 0.05, 0.6, 1.0])
@pytest.mark.parametrize("num", [0, 1, 50, 400])
def test_equals_detectron2(share_foreground, num):
    """Same indices in the same order, and the same random numbers used up."""
    torch.manual_seed(num)
    labels = torch.where(torch.rand(num) < share_foreground, torch.randint(0, 5, (num,)), 5)
    labels[::7] = -1
    torch.manual_seed(1)
    expected = subsample_labels(labels, 64, 0.25, 5)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    got = random_sampler(torch.zeros(num), labels, 64, 0.25, 5)
    assert torch.equal(torch.get_rng_state(), state)
    for mine, theirs in zip(got, expected, strict=True):
        assert torch.equal(mine, theirs)
