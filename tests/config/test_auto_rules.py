"""The rules behind `auto`, by table: limits, few images, many images, machines, time."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from paddlex_maskrcnn.config import auto_rules as rules
from paddlex_maskrcnn.config.auto_rules import Budget, DataFacts, Machine

CPU = Machine()


def gpu(memory=80.0, processes=1):
    return Machine("cuda", memory, processes)


def facts(num_images=100, short_side=600.0, small_object=0.05, most_objects=10):
    return DataFacts(num_images, short_side, small_object, most_objects)


@pytest.mark.parametrize(
    ("machine", "short_side", "small_object", "size", "because"),
    [
        (CPU, 600, 0.5, 288, "288 is the least"),
        (CPU, 600, 0.08, 288, "needs 300"),
        (CPU, 600, 0.057, 416, "needs 421"),
        (CPU, 600, 0.01, 512, "but 512 is the most on a CPU"),
        (CPU, 270, 0.5, 256, "270 is the least for such images"),
        (CPU, 100, 0.01, 192, "enlarging them more than twice shows nothing new"),
        (CPU, 20, 0.01, 64, "twice"),
        (CPU, 600, None, 288, "no objects"),
        (gpu(), 3000, 0.5, 640, "640 is the least"),
        (gpu(), 500, 0.5, 512, "500 is the least"),
        (gpu(), 400, 0.5, 480, "480 is the least"),
        (gpu(), 600, 0.03, 800, "18 px; to make these 24 px needs 800"),
        (gpu(), 600, 0.01, 1024, "1024 is the most on a GPU"),
        (gpu(8), 600, 0.01, 800, "800 is the most in 8 GiB"),
        (gpu(12), 600, 0.01, 1024, "1024"),
        (gpu(), 256, 0.01, 512, "twice"),
    ],
)
def test_short_size(machine, short_side, small_object, size, because):
    choice = rules.short_size(facts(short_side=short_side, small_object=small_object), machine)
    assert choice.value == size
    assert because in choice.reason


def test_short_size_below_the_largest_long_side():
    choice = rules.short_size(facts(small_object=0.01), gpu(), longest=650)
    assert choice.value == 640
    assert "max_size is 650" in choice.reason


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (800, [640, 672, 704, 736, 768, 800]),  # Detectron2's
        (288, [256, 288]),
        (96, 96),
        (64, 64),
    ],
)
def test_training_sizes(size, sizes):
    assert rules.training_sizes(rules.Choice(size, "because")).value == sizes


@pytest.mark.parametrize(
    ("num_images", "machine", "batch"),
    [
        (1, CPU, 1),
        (3, CPU, 1),
        (4, CPU, 2),
        (14_000, CPU, 2),
        (14, Machine("cpu", None, 4), 4),
        (14, Machine("cpu", None, 2), 2),
        (1, gpu(), 1),
        (14, gpu(), 2),
        (14_000, gpu(), 8),
        (14_000, gpu(24), 7),
        (14_000, gpu(8), 2),
        (14_000, gpu(4), 1),
        (14_000, gpu(2), 1),
        (14_000, gpu(processes=4), 32),
        (14, gpu(processes=4), 4),
    ],
)
def test_train_batch_size(num_images, machine, batch):
    choice = rules.train_batch_size(facts(num_images), machine, rules.LARGEST_AREA)
    assert choice.value == batch
    assert choice.value % machine.processes == 0


@pytest.mark.parametrize(
    ("area", "factor", "accumulate", "batch"),
    [
        (rules.LARGEST_AREA / 4, 1, 1, 8),
        (rules.LARGEST_AREA, 2, 1, 3),
        (rules.LARGEST_AREA * 100, 1, 1, 1),
        (rules.LARGEST_AREA, 2, 2, 6),  # parts of a batch are computed one after the other
        (rules.LARGEST_AREA * 100, 1, 2, 2),
    ],
)
def test_batch_by_memory_of_an_image(area, factor, accumulate, batch):
    choice = rules.train_batch_size(facts(14_000), gpu(24), area, factor, accumulate)
    assert choice.value == batch


@pytest.mark.parametrize(
    ("num_images", "batch", "machine", "epochs", "because"),
    [
        (1, 1, CPU, 300, "at most 300 epochs"),
        (14, 2, CPU, 86, "at least 600 steps on a CPU; 7 steps per epoch (14 images, batch 2)"),
        (14_000, 2, CPU, 12, "at least 12 epochs"),
        (14, 2, gpu(), 286, "at least 2000 steps on a GPU"),
        (14, 14, gpu(), 300, "1 step per epoch"),
        (14_000, 8, gpu(), 12, "1x schedule"),
        (1000, 8, gpu(), 16, "2000 steps"),
    ],
)
def test_num_epochs(num_images, batch, machine, epochs, because):
    choice = rules.num_epochs(num_images, batch, machine, None, None)
    assert choice.value == epochs
    assert because in choice.reason


@pytest.mark.parametrize(
    ("budget", "interval", "epochs"),
    [
        (Budget(900, 2.0), None, 64),  # 900 s / (7 x 2 s)
        (Budget(900, 2.0, 5.0), None, 60),  # after 10 evaluations
        (Budget(900, 2.0, 45.0), None, 57),  # after 2, a tenth of the time
        (Budget(900, 2.0, 450.0), None, 32),  # after 1
        (Budget(900, 2.0, 45.0), 20, 54),  # after 3, as the file wants
        (Budget(900, 2.0, 45.0), 1, 15),  # after each
        (Budget(10, 2.0, 45.0), None, 1),
        (Budget(0, 2.0), None, 1),
        (Budget(-5, 0.0, 0.0), None, 1),
    ],
)
def test_num_epochs_in_a_given_time(budget, interval, epochs):
    assert rules.num_epochs(14, 2, CPU, budget, interval).value == epochs


def test_the_reason_shows_the_arithmetic():
    reason = rules.num_epochs(14, 2, CPU, Budget(900, 2.0, 45.0), None).reason
    assert (
        reason
        == "15.0 min are left; 2 evaluations of 45 s; 7 steps per epoch (14 images, batch 2), which take 14 s"
    )
    too_long = rules.num_epochs(140, 2, CPU, Budget(60, 2.0), None).reason
    assert too_long.endswith("; one epoch takes 2.3 min, more than is left")


@pytest.mark.parametrize(
    ("epochs", "budget", "interval"),
    [
        (1, None, 1),
        (9, None, 1),
        (12, None, 2),
        (86, None, 9),
        (300, None, 30),
        (57, Budget(900, 2.0, 45.0), 29),
        (1, Budget(900, 2.0, 4500.0), 1),
    ],
)
def test_save_interval_epochs(epochs, budget, interval):
    assert rules.save_interval_epochs(epochs, budget).value == interval


@pytest.mark.parametrize(
    ("epochs", "decays"),
    [(1, []), (2, [1]), (3, [2]), (4, [3]), (5, [3, 4]), (12, [8, 11]), (86, [57, 76])],
)
def test_lr_decay_epochs(epochs, decays):
    assert rules.lr_decay_epochs(epochs).value == decays


@pytest.mark.parametrize(
    ("total", "decay", "steps"),
    [(1, None, 0), (9, 6, 0), (10, 7, 1), (600, 400, 60), (90_000, 60_000, 500), (600, 7, 7)],
)
def test_warmup_steps(total, decay, steps):
    assert rules.warmup_steps(total, decay).value == steps


@pytest.mark.parametrize(
    ("batch", "optimizer", "rate"),
    [
        (1, None, 0.00125),
        (2, None, 0.0025),
        (7, None, 0.00875),
        (16, None, 0.02),
        (64, None, 0.04),
        (16, {"name": "AdamW"}, 1e-4),
        (4, {"name": "Adam", "weight_decay": 0.05}, 5e-5),
    ],
)
def test_learning_rate(batch, optimizer, rate):
    assert rules.learning_rate(batch, optimizer).value == pytest.approx(rate)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (None, True),
        ({"name": "AdamW"}, True),
        ({"name": "SGD"}, False),  # without momentum, which the built-in one has
        ({}, False),
    ],
)
def test_optimizers_with_a_rule(optimizer, expected):
    assert rules.has_rate(optimizer) is expected


@pytest.mark.parametrize(("most", "k"), [(0, 100), (1, 100), (66, 100), (67, 150), (240, 400)])
def test_keep_top_k(most, k):
    choice = rules.keep_top_k(facts(most_objects=most))
    assert choice.value == k
    assert f"has {most} object" in choice.reason


def test_a_given_time_is_kept_whatever_the_numbers():
    """Steps and evaluations fit, at least half of the time is used where a pass is short."""
    draw = np.random.default_rng(0)
    for _ in range(2000):
        images, batch = int(draw.integers(1, 5000)), int(draw.integers(1, 9))
        budget = Budget(*10 ** draw.uniform([1, -2, -1], [4, 1, 2]))
        interval = int(draw.integers(1, 9)) if draw.random() < 0.5 else None
        epochs = rules.num_epochs(images, batch, CPU, budget, interval).value
        every = interval or rules.save_interval_epochs(epochs, budget).value
        pace = max(1, images // batch) * budget.seconds_per_step
        spent = epochs * pace + math.ceil(epochs / every) * budget.seconds_per_evaluation
        case = SimpleNamespace(**locals())
        assert spent <= budget.seconds_left * 1.001 or epochs == 1, case
        more = pace + budget.seconds_per_evaluation * (1 if interval else budget.most_evaluations)
        assert spent + more >= budget.seconds_left * 0.999, case
