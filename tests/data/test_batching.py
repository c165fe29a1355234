from collections import Counter
from itertools import islice

import numpy as np
import pytest

from paddlex_maskrcnn.data.loader import EpochBatches, repeat_factors

RATIOS = np.random.default_rng(0).choice([0.5, 0.9, 1.0, 1.5], 37)


def take(count, **changes):
    arguments = {"num_samples": 37, "batch_size": 4, "aspect_ratios": RATIOS, "seed": 3}
    return list(islice(EpochBatches(**{**arguments, "shuffle": True, **changes}), count))


@pytest.mark.parametrize("ratios", [None, RATIOS])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 36, 37])
def test_each_epoch_is_whole_and_has_no_record_twice(ratios, shuffle, batch_size):
    steps = 37 // batch_size
    batches = take(3 * steps, aspect_ratios=ratios, shuffle=shuffle, batch_size=batch_size)
    for epoch in range(3):
        part = batches[epoch * steps : (epoch + 1) * steps]
        assert all(e == epoch for batch in part for e, _ in batch)
        assert all(len(batch) == batch_size for batch in part)
        seen = [index for batch in part for _, index in batch]
        assert len(set(seen)) == len(seen) == steps * batch_size


def test_batches_are_of_one_shape_except_one_an_epoch():
    for epoch in range(5):
        batches = take(9 * (epoch + 1))[9 * epoch :]
        mixed = [len({bool(RATIOS[i] > 1) for _, i in batch}) > 1 for batch in batches]
        assert sum(mixed) <= 1
        assert not any(mixed[:-1])


@pytest.mark.parametrize("ratios", [None, RATIOS])
def test_resuming_at_any_step_continues_exactly(ratios):
    reference = take(40, aspect_ratios=ratios)
    for step in range(30):
        assert take(10, aspect_ratios=ratios, start_step=step) == reference[step : step + 10]


def test_epochs_and_seeds_differ_and_repeat():
    assert take(18) == take(18)
    assert take(9) != take(9, seed=4)
    first, second = take(18)[:9], take(18)[9:]
    assert [[i for _, i in b] for b in first] != [[i for _, i in b] for b in second]


def test_without_shuffling_the_order_is_the_file_s():
    batches = take(9, aspect_ratios=None, shuffle=False)
    assert [i for batch in batches for _, i in batch] == list(range(36))
    grouped = take(9, shuffle=False)
    for batch in grouped:
        indices = [i for _, i in batch]
        assert indices == sorted(indices)


def test_over_the_epochs_every_record_is_seen():
    seen = {i for batch in take(9 * 20) for _, i in batch}
    assert seen == set(range(37))


@pytest.mark.parametrize("batch_size", [0, 38])
def test_a_batch_larger_than_the_data(batch_size):
    with pytest.raises(ValueError, match=f"train_batch_size is {batch_size}, but .* 37 images"):
        EpochBatches(37, batch_size, None, 0, True)


def test_rare_records_are_drawn_more_often():
    """By their factor on average, in epochs of the same length."""
    repeats = np.array([1.0, 2.5, 1.0, 1.0])
    batches = EpochBatches(4, 2, None, seed=0, shuffle=True, repeats=repeats)
    drawn = Counter()
    steps = iter(batches)
    for _ in range(2 * 2000):
        drawn.update(index for _, index in next(steps))
    total = sum(drawn.values())
    assert total == 2 * 2 * 2000
    expected = repeats / repeats.sum()
    assert [drawn[k] / total for k in range(4)] == pytest.approx(expected, abs=0.02)


def test_a_record_drawn_twice_is_augmented_twice():
    """Its positions in an epoch differ, and the same steps come after a resume."""
    repeats = np.array([3.0, 1.0, 1.0, 1.0])
    steps = list(islice(EpochBatches(4, 1, None, 5, True, repeats=repeats), 40))
    positions = [position for step in steps for position in step]
    assert len(set(positions)) == len(positions)
    assert max(Counter(index for _, index in positions[:4]).values()) > 1
    later = EpochBatches(4, 1, None, 5, True, start_step=7, repeats=repeats)
    assert list(islice(later, 33)) == steps[7:]


@pytest.mark.parametrize("threshold", [0.01, 0.3, 1.0])
def test_repeat_factors_are_detectron2_s(tiny_coco, threshold):
    from detectron2.data.samplers import RepeatFactorTrainingSampler

    records = tiny_coco.open().records
    expected = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
        list(records), threshold
    )
    assert repeat_factors(records, threshold) == pytest.approx(expected.numpy())
