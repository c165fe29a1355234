"""Samples in places against the samplers they stand for."""

from __future__ import annotations

import pytest
import torch

from paddlex_maskrcnn.modeling.registries import ROI_SAMPLER
from paddlex_maskrcnn.modeling.samplers import SLOTS

BACKGROUND = 9
NAMES = sorted(name for name, _ in ROI_SAMPLER)


def image(num, share_foreground, seed=0):
    generator = torch.Generator().manual_seed(seed)
    is_foreground = torch.rand(num, generator=generator) < share_foreground
    classes = torch.randint(BACKGROUND, (num,), generator=generator)
    labels = torch.where(is_foreground, classes, BACKGROUND)
    labels[torch.rand(num, generator=generator) < 0.1] = -1
    return torch.rand(num, generator=generator) / 2 + is_foreground / 2, labels


def sample(name, values, generator=None):
    """The used places, as a sampler returns them."""
    slots = SLOTS[ROI_SAMPLER.get(name)](*values, 64, 0.25, BACKGROUND, generator)
    foreground, background = slots.counts.tolist()
    return slots.foreground[:foreground], slots.background[:background]


def test_every_sampler_has_one():
    assert set(SLOTS) == {ROI_SAMPLER.get(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num", [0, 1, 30, 500])
@pytest.mark.parametrize("share_foreground", [0.0, 0.03, 0.5, 1.0])
def test_keeps_the_samplers_contract(name, num, share_foreground):
    """As many foreground proposals as allowed, the rest background, none twice, none ignored."""
    values = image(num, share_foreground, seed=num)
    found, expected = sample(name, values), ROI_SAMPLER.get(name)(*values, 64, 0.25, BACKGROUND)
    assert [len(one) for one in found] == [len(one) for one in expected]
    labels = values[1]
    assert len(set(torch.cat(found).tolist())) == sum(map(len, found))
    assert ((labels[found[0]] >= 0) & (labels[found[0]] < BACKGROUND)).all()
    assert (labels[found[1]] == BACKGROUND).all()


@pytest.mark.parametrize("name", NAMES)
def test_draws_each_as_often_as_the_sampler(name):
    """Shares of 1000 trials: one standard error is at most 0.016."""
    values = image(90, 0.4)
    counts = torch.zeros(2, 90)
    torch.manual_seed(0)
    for _ in range(1000):
        for row, chosen in enumerate((sample(name, values), sampler(name, values))):
            counts[row, torch.cat(chosen)] += 1
    assert (counts[0] - counts[1]).abs().max() / 1000 < 0.08
    assert 0 < counts[1][values[1] < BACKGROUND].max() < 1000


def sampler(name, values):
    return ROI_SAMPLER.get(name)(*values, 64, 0.25, BACKGROUND)


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_decides(name):
    values = image(500, 0.5)
    drawn = [
        torch.cat(sample(name, values, torch.Generator().manual_seed(seed))) for seed in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_on_the_gpu(name):
    values = image(500, 0.5)
    found = sample(name, [one.cuda() for one in values], torch.Generator("cuda").manual_seed(0))
    assert [len(one) for one in found] == [16, 48]
    assert (values[1][found[1].cpu()] == BACKGROUND).all()
