"""Shapes of labelling tools as polygons."""

import math

import numpy as np
import pytest

from paddlex_maskrcnn.data.datasets.outlines import ellipse, rectangle, turned


def test_a_quarter_turn_is_clockwise_on_the_screen():
    # the corner right of the centre comes below it, y pointing down
    assert turned([2, 0, 0, 2, -2, 0], 0, 0, 90) == pytest.approx([0, 2, -2, 0, 0, -2])
    assert turned(rectangle(1, 2, 3, 4), 0, 0, 0) == [1, 2, 3, 2, 3, 4, 1, 4]


@pytest.mark.parametrize("degrees", [0, 30, 90, 200])
def test_every_point_of_an_ellipse_is_on_it(degrees):
    points = np.reshape(ellipse(50, 40, 30, 10, degrees), (-1, 2)) - (50, 40)
    x, y = np.reshape(turned(points.ravel().tolist(), 0, 0, -degrees), (-1, 2)).T
    assert np.allclose((x / 30) ** 2 + (y / 10) ** 2, 1)
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert area == pytest.approx(math.pi * 300, rel=0.01)


def test_an_ellipse_without_a_size():
    assert ellipse(0, 0, math.inf, 1) is None
    assert ellipse(0, 0, math.nan, 1) is None
    assert set(ellipse(3, 4, 0, 0)) == {3, 4}
