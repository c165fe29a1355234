"""benchmarks/side_by_side/arithmetic.py against operations counted by hand."""

import time

import pytest
import torch
from side_by_side.arithmetic import best_speed, speed


def test_operations_by_seconds_of_the_fastest():
    clock = iter([0.0, 4.0, 10.0, 12.0])
    one = torch.rand(8, 8)
    assert speed(lambda: one @ one, lambda: next(clock), times=2) == 2 * 8**3 / 2


def test_the_best_is_not_below_a_product():
    """Within what a busy machine does to a single measurement."""
    one = torch.rand(1536, 1536)
    assert best_speed(time.process_time) > 0.2 * speed(lambda: one @ one, time.process_time)


def test_a_convolution_is_counted():
    clock = iter([0.0, 1.0])
    pixels, weight = torch.rand(1, 2, 5, 5), torch.rand(3, 2, 3, 3)
    found = speed(lambda: torch.conv2d(pixels, weight), lambda: next(clock), times=1)
    assert found == pytest.approx(2 * 3 * 3 * 3 * 2 * 9)
