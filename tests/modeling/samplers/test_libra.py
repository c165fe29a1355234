"""The Libra sampler against slow numpy loops: how often each proposal is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from paddlex_maskrcnn.modeling.samplers.libra import libra_sampler
from reference.libra import libra_sample

BACKGROUND = 9
NUM_SAMPLES = 32


def image(class_sizes, bin_sizes, num_ignored=3):
    """IoU and labels of proposals: so many of each class, so many in each bin, shuffled."""
    labels = [c for c, size in class_sizes.items() for _ in range(size)]
    iou = [0.7] * len(labels)
    for i, size in enumerate(bin_sizes):
        labels += [BACKGROUND] * size
        iou += [(i + 0.5) / 6] * size
    labels, iou = labels + [-1] * num_ignored, iou + [0.2] * num_ignored
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return torch.tensor(iou)[order], torch.tensor(labels)[order]


def frequencies(draw, num, num_trials):
    """Share of the trials in which each of `num` proposals was drawn."""
    counts = np.zeros(num)
    for _ in range(num_trials):
        foreground, background = draw()
        drawn = [*map(int, foreground), *map(int, background)]
        assert len(set(drawn)) == len(drawn)
        counts[drawn] += 1
    return counts / num_trials


CASES = {
    "little foreground": ({0: 3, 4: 2}, (100, 20, 20)),
    "balanced classes": ({0: 30, 4: 30}, (100, 20, 20)),
    "a rare class": ({0: 60, 3: 2, 4: 40}, (100, 20, 20)),
    "one class": ({6: 25}, (100, 20, 20)),
    "more classes than places": (dict.fromkeys(range(9), 3), (100, 20, 20)),
    "few hard": ({0: 30}, (100, 20, 2)),
    "only easy": ({0: 30}, (100, 0, 0)),
    "only hard": ({0: 30}, (0, 0, 100)),
    "few easy": ({}, (5, 60, 40)),
}


@pytest.mark.parametrize("case", CASES)
def test_each_proposal_is_drawn_as_often_as_by_the_reference(case):
    """Shares of 1500 trials: one standard error is at most 0.013, for a group's mean far less."""
    iou, labels = image(*CASES[case])
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    arguments = (NUM_SAMPLES, 0.25, BACKGROUND)
    got = frequencies(lambda: libra_sampler(iou, labels, *arguments), len(labels), 1500)
    slow = lambda: libra_sample(rng, iou.tolist(), labels.tolist(), *arguments)  # noqa: E731
    # Proposals of one class or bin are alike: few trials are enough for the mean of their shares.
    expected = group_means(frequencies(slow, len(labels), 400), iou, labels)
    assert np.abs(group_means(got, iou, labels) - expected).max() < 0.03
    assert np.abs(got - expected).max() < 0.07


def group_means(shares, iou, labels):
    """Each proposal's share replaced by the mean of those with its IoU and label."""
    group = iou.numpy().round(4) + 10 * labels.numpy()
    return np.array([shares[group == each].mean() for each in group])


@pytest.mark.parametrize("case", CASES)
def test_number_of_samples(case):
    iou, labels = image(*CASES[case])
    num_foreground = sum(CASES[case][0].values())
    for seed in range(20):
        torch.manual_seed(seed)
        foreground, background = libra_sampler(iou, labels, NUM_SAMPLES, 0.25, BACKGROUND)
        assert len(foreground) == min(num_foreground, 8)
        assert len(background) == 32 - len(foreground)
        assert (labels[background] == BACKGROUND).all()
        assert ((labels[foreground] >= 0) & (labels[foreground] < BACKGROUND)).all()


def test_too_few_to_choose_from():
    """All foreground and background is taken, the ignored stay out."""
    iou, labels = image({1: 2}, (3, 1, 4))
    foreground, background = libra_sampler(iou, labels, NUM_SAMPLES, 0.25, BACKGROUND)
    assert sorted([*foreground, *background]) == torch.nonzero(labels >= 0).flatten().tolist()


@pytest.mark.parametrize("labels", [[], [-1, -1]])
def test_nothing_to_choose_from(labels):
    labels = torch.tensor(labels, dtype=torch.int64)
    chosen = libra_sampler(torch.zeros(len(labels)), labels, NUM_SAMPLES, 0.25, BACKGROUND)
    assert [indices.tolist() for indices in chosen] == [[], []]
    assert chosen[0].dtype == torch.int64


def test_bins_reach_from_0_to_one_half():
    """Of one proposal in each sixth of [0, 0.5], three bins make pairs; 0.5 itself is hard."""
    iou = torch.tensor([0.0, 0.16, 0.17, 0.33, 0.34, 0.5])
    labels = torch.full((6,), BACKGROUND)
    for seed in range(20):
        torch.manual_seed(seed)
        _, background = libra_sampler(iou, labels, 3, 0.25, BACKGROUND)
        assert sorted(int(i) // 2 for i in background) == [0, 1, 2]


def test_hard_background_is_drawn_more_often_than_by_the_random_sampler():
    """What the sampler is for: 20 of 140 are hard, yet a third of the sample is."""
    iou, labels = image({}, (100, 20, 20))
    torch.manual_seed(0)
    _, background = libra_sampler(iou, labels, 30, 0.25, BACKGROUND)
    assert (iou[background] > 1 / 3).sum() == 10


def test_same_seed_same_sample():
    iou, labels = image(*CASES["a rare class"])
    samples = []
    for _ in range(2):
        torch.manual_seed(3)
        samples.append(torch.cat(libra_sampler(iou, labels, NUM_SAMPLES, 0.25, BACKGROUND)))
    assert torch.equal(*samples)
