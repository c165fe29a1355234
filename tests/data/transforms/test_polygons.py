import numpy as np
import pycocotools.mask as mask_util
import pytest

from paddlex_maskrcnn.data.transforms.polygons import clip_polygon


def drawn(points, height, width):
    if len(points) < 3:
        return np.zeros((height, width), bool)
    return mask_util.decode(mask_util.frPyObjects([points.ravel().tolist()], height, width)[0]) > 0


def star(rng, corners):
    """A polygon around the image that is seldom convex."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(5, 45, corners)
    center = rng.uniform(0, 40, 2)
    return center + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize("corners", [3, 5, 12, 40])
def test_the_pixels_inside_stay_the_same(corners):
    """The reference draws the whole polygon on a larger ground and cuts the pixels."""
    rng = np.random.default_rng(corners)
    for _ in range(60):
        points = star(rng, corners)
        clipped = clip_polygon(points, 40, 40)
        expected = drawn(points + 60, 160, 160)[60:100, 60:100]
        found = drawn(clipped, 40, 40)
        assert (expected ^ found).sum() <= 0.03 * expected.sum() + 6
        assert (clipped >= 0).all()
        assert (clipped <= 40).all()


def test_what_is_inside_is_not_touched():
    points = np.array([[0.0, 0.0], [40.0, 5.0], [3.0, 30.0]])
    assert clip_polygon(points, 30, 40) is points


def test_what_is_outside_is_nothing():
    points = np.array([[50.0, 0.0], [60.0, 5.0], [55.0, 30.0]])
    assert clip_polygon(points, 40, 40).shape == (0, 2)


def test_a_half_is_exact():
    square = np.array([[-10.0, 10.0], [10.0, 10.0], [10.0, 20.0], [-10.0, 20.0]])
    clipped = clip_polygon(square, 40, 40)
    assert sorted(clipped.tolist()) == [[0, 10], [0, 20], [10, 10], [10, 20]]
