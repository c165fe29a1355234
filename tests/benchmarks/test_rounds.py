"""Turns and the statistics of their ratios."""

from itertools import product

import numpy as np
import pytest
from side_by_side import rounds
from side_by_side.rounds import Spread, median_interval, ratios, take_turns


def test_all_take_turns_and_each_round_begins_with_another():
    order = []
    work = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = take_turns(work, 3)
    assert [len(seconds[name]) for name in "abc"] == [3, 3, 3], "the first of four rounds warms up"
    turns = ["".join(order[start : start + 3]) for start in range(0, 12, 3)]
    assert turns == ["cab", "abc", "bca", "cab"]


def test_seconds_belong_to_their_contestant(monkeypatch):
    """By a clock that only work moves on."""
    now = [0.0]
    monkeypatch.setattr(rounds.time, "perf_counter", lambda: now[0])

    def work(seconds):
        now[0] += seconds

    found = take_turns({"slow": lambda: work(3.0), "fast": lambda: work(1.0)}, 2)
    assert found == {"slow": [3.0, 3.0], "fast": [1.0, 1.0]}
    assert ratios(found["slow"], found["fast"]) == [3.0, 3.0]


def test_a_busy_machine_falls_on_both():
    """Round by round the ratio stays what the machine takes from both; of the medians it would not."""
    load = np.array([1.0, 5.0, 2.0, 9.0])
    assert ratios(3 * load, 2 * load) == pytest.approx([1.5] * 4)


def test_spread():
    assert Spread.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


@pytest.mark.parametrize("count", [1, 3, 5, 6, 9, 12])
def test_the_interval_holds_the_median_in_95_of_100_cases(count):
    """Counted over all ways in which values can fall on both sides of the median."""
    low, high = (int(one) for one in median_interval(range(count)))
    holds = [low < sum(below) <= high for below in product((0, 1), repeat=count)]
    if count < 6:
        assert (low, high) == (0, count - 1)
    else:
        assert np.mean(holds) >= 0.95
        narrower = [low + 1 < sum(below) <= high - 1 for below in product((0, 1), repeat=count)]
        assert np.mean(narrower) < 0.95
