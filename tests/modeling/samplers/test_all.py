"""What every registered sampler has to do."""

from __future__ import annotations

import inspect

import pytest
import torch

import paddlex_maskrcnn.modeling.samplers as package
from paddlex_maskrcnn.modeling.registries import ROI_SAMPLER

NAMES = sorted(name for name, _ in ROI_SAMPLER)
BACKGROUND = 9


def proposals(num, share_foreground, seed):
    torch.manual_seed(seed)
    is_foreground = torch.rand(num) < share_foreground
    labels = torch.where(is_foreground, torch.randint(BACKGROUND, (num,)), BACKGROUND)
    labels[torch.rand(num) < 0.1] = -1
    return torch.rand(num) / 2 + is_foreground / 2, labels


def test_all_are_exported():
    assert sorted(name for name in package.__all__ if name.endswith("_sampler")) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num", [0, 1, 30, 500])
@pytest.mark.parametrize("share_foreground", [0.0, 0.03, 0.5, 1.0])
def test_keeps_the_contract(name, num, share_foreground):
    """As many foreground proposals as allowed, the rest background, none twice, none ignored."""
    max_iou, labels = proposals(num, share_foreground, seed=num)
    copies = max_iou.clone(), labels.clone()
    foreground, background = ROI_SAMPLER.get(name)(max_iou, labels, 64, 0.25, BACKGROUND)
    num_foreground = int(((labels >= 0) & (labels < BACKGROUND)).sum())
    assert len(foreground) == min(num_foreground, 16)
    assert len(background) == min(int((labels == BACKGROUND).sum()), 64 - len(foreground))
    assert len({*foreground.tolist(), *background.tolist()}) == len(foreground) + len(background)
    assert ((labels[foreground] >= 0) & (labels[foreground] < BACKGROUND)).all()
    assert (labels[background] == BACKGROUND).all()
    assert foreground.dtype == background.dtype == torch.int64
    assert torch.equal(max_iou, copies[0])
    assert torch.equal(labels, copies[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share_foreground", [0.03, 0.5])
def test_the_seed_decides(name, share_foreground):
    arguments = (*proposals(500, share_foreground, seed=0), 64, 0.25, BACKGROUND)
    samples = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        samples.append(torch.cat(ROI_SAMPLER.get(name)(*arguments)))
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share_foreground", [0.03, 0.5])
def test_a_generator_replaces_the_global_one(name, share_foreground):
    """The same sample whatever the global seed, which stays as it was."""
    arguments = (*proposals(500, share_foreground, seed=0), 64, 0.25, BACKGROUND)
    samples = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        generator = torch.Generator().manual_seed(0)
        samples.append(torch.cat(ROI_SAMPLER.get(name)(*arguments, generator)))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(samples[0], samples[1])


@pytest.mark.parametrize("name", NAMES)
def test_signature_is_the_registrys(name):
    parameters = list(inspect.signature(ROI_SAMPLER.get(name)).parameters)
    expected = ["max_iou", "labels", "num_samples", "positive_fraction", "bg_label", "generator"]
    assert parameters == expected


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_stays_on_the_gpu(name):
    max_iou, labels = (tensor.cuda() for tensor in proposals(500, 0.5, seed=0))
    foreground, background = ROI_SAMPLER.get(name)(max_iou, labels, 64, 0.25, BACKGROUND)
    assert foreground.is_cuda
    assert background.is_cuda
    assert len(foreground) == 16
    assert (labels[background] == BACKGROUND).all()
