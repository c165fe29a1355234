"""Seconds of named parts, on a clock that the test moves."""

import pytest

from paddlex_maskrcnn.inference import evaluate as stopwatch


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""

    class Clock:
        now = 100.0

        def pass_by(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: clock.now)
    return clock


def test_parts_add_up(clock):
    watch = stopwatch.Stopwatch()
    for seconds in (1.0, 2.5):
        with watch.of("network"):
            clock.pass_by(seconds)
        clock.pass_by(7.0)
    failing = watch.of("scoring")
    with pytest.raises(KeyError), failing:
        raise KeyError(clock.pass_by(0.25))
    assert watch.seconds == {"network": 3.5, "scoring": 0.25}
    assert str(watch) == "3.8 s: network 3.5 s, scoring 0.2 s"


def test_waiting_for_items_counts_and_using_them_does_not(clock):
    def slow():
        for item in (None, "b"):
            clock.pass_by(2.0)
            yield item

    watch, seen = stopwatch.Stopwatch(), []
    for item in watch.each("reading", slow()):
        clock.pass_by(10.0)
        seen.append(item)
    assert seen == [None, "b"]
    assert watch.seconds == {"reading": 4.0}
