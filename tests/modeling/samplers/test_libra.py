"""The Libra sampler against slow numpy loops: how often each proposal is drawn.

What runs on a GPU is plain torch: it is tested here on the CPU too.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from paddlex_maskrcnn.modeling.samplers.libra import libra_sampler, sample_on_device
from paddlex_maskrcnn.modeling.samplers.libra_cpu import sample_on_cpu
from reference.libra import libra_sample
from support.host_waits import PRETENDED, watch_waits

BACKGROUND = 9
NUM_SAMPLES, NUM_FOREGROUND = 32, 8
both_ways = pytest.mark.parametrize("sample", [sample_on_cpu, sample_on_device])


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


@both_ways
@pytest.mark.parametrize("case", CASES)
def test_each_proposal_is_drawn_as_often_as_by_the_reference(sample, case):
    """Shares of 1500 trials: one standard error is at most 0.013, for a group's mean far less."""
    iou, labels = image(*CASES[case])
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    fast = lambda: sample(iou, labels, NUM_SAMPLES, NUM_FOREGROUND, BACKGROUND)  # noqa: E731
    got = frequencies(fast, len(labels), 1500)
    lists = iou.tolist(), labels.tolist()
    slow = lambda: libra_sample(rng, *lists, NUM_SAMPLES, 0.25, BACKGROUND)  # noqa: E731
    # Proposals of one class or bin are alike: few trials are enough for the mean of their shares.
    expected = group_means(frequencies(slow, len(labels), 400), iou, labels)
    assert np.abs(group_means(got, iou, labels) - expected).max() < 0.03
    assert np.abs(got - expected).max() < 0.07


def group_means(shares, iou, labels):
    """Each proposal's share replaced by the mean of those with its IoU and label."""
    group = iou.numpy().round(4) + 10 * labels.numpy()
    return np.array([shares[group == each].mean() for each in group])


@both_ways
@pytest.mark.parametrize("case", CASES)
def test_number_of_samples(sample, case):
    iou, labels = image(*CASES[case])
    num_foreground = sum(CASES[case][0].values())
    for seed in range(20):
        torch.manual_seed(seed)
        foreground, background = sample(iou, labels, NUM_SAMPLES, NUM_FOREGROUND, BACKGROUND)
        assert len(foreground) == min(num_foreground, 8)
        assert len(background) == 32 - len(foreground)
        assert (labels[background] == BACKGROUND).all()
        assert ((labels[foreground] >= 0) & (labels[foreground] < BACKGROUND)).all()


@both_ways
def test_a_large_class_gets_no_more_than_its_quota(sample):
    """Three classes share 8 places: 4 for each, where two classes and a pair are enough to fill."""
    iou, labels = image({0: 60, 3: 2, 4: 40}, (20, 0, 0))
    torch.manual_seed(0)
    for _ in range(50):
        foreground, _ = sample(iou, labels, NUM_SAMPLES, NUM_FOREGROUND, BACKGROUND)
        counts = torch.bincount(labels[foreground], minlength=5).tolist()
        assert counts[0] <= 4
        assert counts[4] <= 4
        assert counts[0] + counts[3] + counts[4] == 8


@both_ways
def test_too_few_to_choose_from(sample):
    """All foreground and background is taken, the ignored stay out."""
    iou, labels = image({1: 2}, (3, 1, 4))
    foreground, background = sample(iou, labels, NUM_SAMPLES, NUM_FOREGROUND, BACKGROUND)
    assert sorted([*foreground, *background]) == torch.nonzero(labels >= 0).flatten().tolist()


@both_ways
@pytest.mark.parametrize("labels", [[], [-1, -1]])
def test_nothing_to_choose_from(sample, labels):
    labels = torch.tensor(labels, dtype=torch.int64)
    iou = torch.zeros(len(labels))
    chosen = sample(iou, labels, NUM_SAMPLES, NUM_FOREGROUND, BACKGROUND)
    assert [indices.tolist() for indices in chosen] == [[], []]
    assert chosen[0].dtype == torch.int64


@both_ways
def test_no_places(sample):
    """A second stage that samples nothing, or background only, is no error."""
    iou, labels = image({1: 4}, (3, 3, 3))
    assert [len(indices) for indices in sample(iou, labels, 0, 0, BACKGROUND)] == [0, 0]
    assert [len(indices) for indices in sample(iou, labels, 6, 0, BACKGROUND)] == [0, 6]


@both_ways
def test_bins_reach_from_0_to_one_half(sample):
    """Of one proposal in each sixth of [0, 0.5], three bins make pairs; 0.5 itself is hard."""
    iou = torch.tensor([0.0, 0.16, 0.17, 0.33, 0.34, 0.5])
    labels = torch.full((6,), BACKGROUND)
    for seed in range(20):
        torch.manual_seed(seed)
        _, background = sample(iou, labels, 3, 0, BACKGROUND)
        assert sorted(int(i) // 2 for i in background) == [0, 1, 2]


def test_hard_background_is_drawn_more_often_than_by_the_random_sampler():
    """What the sampler is for: 20 of 140 are hard, yet a third of the sample is."""
    iou, labels = image({}, (100, 20, 20))
    torch.manual_seed(0)
    _, background = libra_sampler(iou, labels, 30, 0.25, BACKGROUND)
    assert (iou[background] > 1 / 3).sum() == 10


@both_ways
def test_same_seed_same_sample(sample):
    iou, labels = image(*CASES["a rare class"])
    arguments = (iou, labels, NUM_SAMPLES, NUM_FOREGROUND, BACKGROUND)
    before = torch.get_rng_state()
    samples = [torch.cat(sample(*arguments, torch.Generator().manual_seed(3))) for _ in range(2)]
    assert torch.equal(*samples)
    assert torch.equal(torch.get_rng_state(), before)


@both_ways
def test_precision_of_the_iou_is_free(sample):
    """What autocast may make of it: numpy knows no bfloat16."""
    iou, labels = image(*CASES["few hard"])
    _, background = sample(iou.bfloat16(), labels, NUM_SAMPLES, NUM_FOREGROUND, BACKGROUND)
    assert (labels[background] == BACKGROUND).all()


def test_the_gpu_is_asked_for_the_sizes_only():
    iou, labels = image(*CASES["a rare class"])
    with watch_waits() as waits:
        values = iou.to(PRETENDED), labels.to(PRETENDED)
        waits.places.clear()
        sample_on_device(*values, NUM_SAMPLES, NUM_FOREGROUND, BACKGROUND)
    assert len(waits) == 1, str(waits)
