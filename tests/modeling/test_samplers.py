"""The samplers against slow references, and random choices that belong to an image."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from detectron2.modeling.sampling import subsample_labels
from detectron2.utils.events import EventStorage

import paddlex_maskrcnn.modeling  # noqa: F401
from paddlex_maskrcnn.modeling.registries import ROI_SAMPLER
from paddlex_maskrcnn.modeling.samplers import generator_of, libra_sampler, random_sampler
from reference.libra import libra_sample

NAMES = sorted(name for name, _ in ROI_SAMPLER)
BACKGROUND = 9


def proposals(num, share_foreground, seed):
    torch.manual_seed(seed)
    is_foreground = torch.rand(num) < share_foreground
    labels = torch.where(is_foreground, torch.randint(BACKGROUND, (num,)), BACKGROUND)
    labels[torch.rand(num) < 0.1] = -1
    return torch.rand(num) / 2 + is_foreground / 2, labels


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


NUM_SAMPLES, SHARE_FOREGROUND = 32, 0.25


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
    """Within 4.5 standard errors of a difference of two shares: one test of 30 000 would be out by chance.

    Proposals of a group are drawn together where groups compete for places, so that its mean varies
    as much as one share at worst.
    """
    iou, labels = image(*CASES[case])
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    fast = lambda: libra_sampler(iou, labels, NUM_SAMPLES, SHARE_FOREGROUND, BACKGROUND)  # noqa: E731
    got = frequencies(fast, len(labels), 1500)
    lists = iou.tolist(), labels.tolist()
    slow = lambda: libra_sample(rng, *lists, NUM_SAMPLES, 0.25, BACKGROUND)  # noqa: E731
    expected = group_means(frequencies(slow, len(labels), 800), iou, labels)
    shares = (1500 * got + 800 * expected) / 2300
    error = np.sqrt(shares * (1 - shares) * (1 / 1500 + 1 / 800))
    assert (np.abs(group_means(got, iou, labels) - expected) <= 4.5 * error).all()
    assert (np.abs(got - expected) <= 4.5 * error).all()


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
        foreground, background = libra_sampler(
            iou, labels, NUM_SAMPLES, SHARE_FOREGROUND, BACKGROUND
        )
        assert len(foreground) == min(num_foreground, 8)
        assert len(background) == 32 - len(foreground)
        assert (labels[background] == BACKGROUND).all()
        assert ((labels[foreground] >= 0) & (labels[foreground] < BACKGROUND)).all()


def test_a_large_class_gets_no_more_than_its_quota():
    """Three classes share 8 places: 4 for each, where two classes and a pair are enough to fill."""
    iou, labels = image({0: 60, 3: 2, 4: 40}, (20, 0, 0))
    torch.manual_seed(0)
    for _ in range(50):
        foreground, _ = libra_sampler(iou, labels, NUM_SAMPLES, SHARE_FOREGROUND, BACKGROUND)
        counts = torch.bincount(labels[foreground], minlength=5).tolist()
        assert counts[0] <= 4
        assert counts[4] <= 4
        assert counts[0] + counts[3] + counts[4] == 8


def test_too_few_to_choose_from():
    """All foreground and background is taken, the ignored stay out."""
    iou, labels = image({1: 2}, (3, 1, 4))
    foreground, background = libra_sampler(iou, labels, NUM_SAMPLES, SHARE_FOREGROUND, BACKGROUND)
    assert sorted([*foreground, *background]) == torch.nonzero(labels >= 0).flatten().tolist()


@pytest.mark.parametrize("labels", [[], [-1, -1]])
def test_nothing_to_choose_from(labels):
    labels = torch.tensor(labels, dtype=torch.int64)
    iou = torch.zeros(len(labels))
    chosen = libra_sampler(iou, labels, NUM_SAMPLES, SHARE_FOREGROUND, BACKGROUND)
    assert [indices.tolist() for indices in chosen] == [[], []]
    assert chosen[0].dtype == torch.int64


def test_no_places():
    """A second stage that samples nothing, or background only, is no error."""
    iou, labels = image({1: 4}, (3, 3, 3))
    assert [len(indices) for indices in libra_sampler(iou, labels, 0, 0, BACKGROUND)] == [0, 0]
    assert [len(indices) for indices in libra_sampler(iou, labels, 6, 0.0, BACKGROUND)] == [0, 6]


def test_bins_reach_from_0_to_one_half():
    """Of one proposal in each sixth of [0, 0.5], three bins make pairs; 0.5 itself is hard."""
    iou = torch.tensor([0.0, 0.16, 0.17, 0.33, 0.34, 0.5])
    labels = torch.full((6,), BACKGROUND)
    for seed in range(20):
        torch.manual_seed(seed)
        _, background = libra_sampler(iou, labels, 3, 0, BACKGROUND)
        assert sorted(int(i) // 2 for i in background) == [0, 1, 2]


def test_hard_background_is_drawn_more_often_than_by_the_random_sampler():
    """What the sampler is for: 20 of 140 are hard, yet a third of the sample is."""
    iou, labels = image({}, (100, 20, 20))
    torch.manual_seed(0)
    _, background = libra_sampler(iou, labels, 30, 0.25, BACKGROUND)
    assert (iou[background] > 1 / 3).sum() == 10


def test_same_seed_same_sample():
    iou, labels = image(*CASES["a rare class"])
    arguments = (iou, labels, NUM_SAMPLES, SHARE_FOREGROUND, BACKGROUND)
    before = torch.get_rng_state()
    samples = [
        torch.cat(libra_sampler(*arguments, torch.Generator().manual_seed(3))) for _ in range(2)
    ]
    assert torch.equal(*samples)
    assert torch.equal(torch.get_rng_state(), before)


def test_precision_of_the_iou_is_free():
    """What autocast may make of it: numpy knows no bfloat16."""
    iou, labels = image(*CASES["few hard"])
    _, background = libra_sampler(iou.bfloat16(), labels, NUM_SAMPLES, SHARE_FOREGROUND, BACKGROUND)
    assert (labels[background] == BACKGROUND).all()


@pytest.fixture(params=["random_sampler", "libra_sampler"])
def model(request, make_cfg):
    cfg = make_cfg()
    cfg.MODEL.META_ARCHITECTURE = "PaddedRCNN"
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "CrowdRPN"
    cfg.MODEL.ROI_HEADS.NAME = "PaddleXROIHeads"
    cfg.MODEL.ROI_HEADS.SAMPLER = request.param
    cfg.MODEL.RESNETS.NORM = "FrozenBN"
    torch.manual_seed(0)
    return build_model(cfg).train()


def inputs(make_targets, seeds):
    torch.manual_seed(1)
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in seeds]
    targets = [make_targets(3, 64) for _ in seeds]
    return [
        {"image": image, "instances": objects, "sample_seed": seed}
        for image, objects, seed in zip(images, targets, seeds, strict=True)
    ]


def sampled(model, batch):
    """The proposals each image trains on."""
    samples = []
    choose = model.roi_heads.label_and_sample_proposals
    model.roi_heads.label_and_sample_proposals = lambda *given: (
        samples.extend(choose(*given)) or samples
    )
    with EventStorage():
        losses = model(batch)
    del model.roi_heads.label_and_sample_proposals
    return [sample.proposal_boxes.tensor for sample in samples], losses


def test_an_image_draws_the_same_in_any_company(model, make_targets):
    """Alone, after another one, or after other random numbers; its neighbours do not matter."""
    batch = inputs(make_targets, [11, 12, 13])
    together, losses = sampled(model, batch)
    again, same_losses = sampled(model, batch)
    assert {k: v.item() for k, v in losses.items()} == {k: v.item() for k, v in same_losses.items()}
    torch.manual_seed(99)
    alone = [sampled(model, [one])[0][0] for one in reversed(batch)][::-1]
    for a, b, c in zip(together, again, alone, strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, atol=1e-3, rtol=0)  # pixels: a batch rounds otherwise


def test_another_seed_draws_others(model, make_targets):
    first, _ = sampled(model, inputs(make_targets, [11]))
    second, _ = sampled(model, inputs(make_targets, [12]))
    assert not torch.equal(first[0], second[0])


def test_the_global_generator_is_left_alone(model, make_targets):
    batch = inputs(make_targets, [11, 12])
    before = torch.get_rng_state()
    with EventStorage():
        model(batch)
    assert torch.equal(torch.get_rng_state(), before)
    assert generator_of(0) is None
