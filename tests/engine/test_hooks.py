"""Best value and patience."""

from math import nan

from paddlex_maskrcnn.engine.hooks import Best


def test_only_a_strictly_better_value_is_new():
    best = Best()
    assert [best.update(v, e) for e, v in enumerate([0.0, 0.2, 0.2, nan, 0.1, 0.3], 1)] == [
        True, True, False, False, False, True,
    ]  # fmt: skip
    assert (best.value, best.epoch, best.waited) == (0.3, 6, 0)


def test_slow_decline_and_wobbling_below_the_best_both_count():
    best = Best()
    for epoch, value in enumerate([0.5, 0.4, 0.45, 0.41, 0.49], 1):
        best.update(value, epoch)
    assert best.waited == 4


def test_state_survives():
    best, again = Best(), Best()
    best.update(0.5, 1)
    best.update(0.4, 2)
    again.load_state_dict(best.state_dict())
    assert again == best
