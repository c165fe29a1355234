"""Dealing: shares, classes in proportion, whole groups, the same for the same seed."""

import random
from collections import Counter

import pytest

from paddlex_maskrcnn.data.convert.split import Group, deal, exchange


def groups_of(seed=0, count=200, images=1):
    """Images with three common classes, a rare one and empty images."""
    rng = random.Random(seed)
    groups = []
    for k in range(count):
        classes = rng.choices([1, 2, 3], [8, 3, 1], k=rng.randrange(6))
        classes += [4] if k % 50 == 7 else []
        groups.append(Group([k * images + i for i in range(images)], Counter(classes)))
    return groups


def totals(part):
    return sum((group.objects for group in part), Counter())


def flat(parts):
    return [[number for group in part for number in group.images] for part in parts]


@pytest.mark.parametrize("shares", [[0.8, 0.2], [0.7, 0.2, 0.1], [0.5, 0.5]])
@pytest.mark.parametrize("images", [1, 3])
def test_every_group_once_and_shares_of_images_and_classes(shares, images):
    groups = groups_of(images=images)
    parts = deal(groups, shares, seed=0)
    assert sorted(n for part in flat(parts) for n in part) == list(range(200 * images))
    whole = totals(groups)
    for part, share in zip(parts, shares, strict=True):
        assert len(part) == pytest.approx(200 * share, abs=1)
        for category in (1, 2, 3):
            assert totals(part)[category] == pytest.approx(whole[category] * share, rel=0.06, abs=1)
        assert totals(part)[4] > 0, "the rare class is everywhere"


def test_a_seed_is_a_deal():
    deals = [flat(deal(groups_of(), [0.8, 0.2], seed)) for seed in (0, 0, 1)]
    assert deals[0] == deals[1] != deals[2]


def test_nearer_to_the_shares_than_chance():
    groups = groups_of(count=60)
    whole = totals(groups)

    def error(part):
        return sum(abs(totals(part)[one] / whole[one] - 0.25) for one in (1, 2, 3))

    ours = [error(deal(groups, [0.75, 0.25], seed)[1]) for seed in range(5)]
    chance = [error(random.Random(seed).sample(groups, 15)) for seed in range(5)]
    assert max(ours) < min(chance)
    assert max(ours) < 0.02, "0.032 without exchanging groups at the end"


def test_a_class_with_one_image_is_learned():
    alone = [Group([k], Counter({1: 3})) for k in range(9)] + [Group([9], Counter({2: 1}))]
    for seed in range(5):
        assert totals(deal(alone, [0.2, 0.8], seed)[0])[2] == 1


def test_a_class_with_one_group_is_learned_whatever_the_sizes_of_groups():
    """Groups of different sizes cannot be exchanged afterwards."""
    for seed in range(5):
        groups = [Group(list(range(100 * k, 101 * k + 1)), Counter({1: k + 1})) for k in range(9)]
        groups.append(Group([9000, 9001], Counter({1: 1, 2: 1})))
        assert totals(deal(groups, [0.3, 0.7], seed)[0])[2] == 1


def test_exchanging_brings_parts_nearer_to_their_shares():
    """All of one class here, all of the other there; sizes that differ stay where they are."""
    objects = [Counter({1: 2})] * 10 + [Counter({2: 2})] * 10 + [Counter({1: 5})]
    parts = exchange([1] * 20 + [3], objects, [range(10), range(10, 21)], [0.5, 0.5], seed=0)
    assert [len(part) for part in parts] == [10, 11]
    assert 20 in parts[1]
    first, second = (sum((objects[k] for k in part), Counter()) for part in parts)
    assert abs(first[1] - second[1]) <= 2 + 1
    assert abs(first[2] - second[2]) <= 4


def test_no_part_is_empty():
    groups = [Group(list(range(k * 10, k * 10 + 10)), Counter({1: 5})) for k in range(3)]
    assert all(deal(groups, [0.9, 0.05, 0.05], seed=0))
    assert all(deal([Group([0]), Group([1])], [0.99, 0.01], seed=0))
