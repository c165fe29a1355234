import numpy as np
import pytest

from paddlex_maskrcnn.data.random_state import seeded
from paddlex_maskrcnn.data.transforms import RandomExpand
from paddlex_maskrcnn.data.transforms.setting import Setting

BOX = np.array([[2.0, 2.0, 8.0, 8.0]])


def test_size_and_place_by_the_book():
    """PaddleX's steps one by one, with the same random numbers."""
    image = np.random.default_rng(0).integers(0, 255, (30, 50, 3)).astype(np.uint8)
    for seed in range(20):
        with seeded(seed):
            found = RandomExpand(3, 0.5).get_transform(image, BOX, Setting()).apply_image(image)
        with seeded(seed):
            expected = image
            if np.random.uniform(0, 1) < 0.5:
                ratio = np.random.uniform(1, 3)
                height, width = int(30 * ratio), int(50 * ratio)
                y = int(np.floor(np.random.uniform(0, height - 30)))
                x = int(np.floor(np.random.uniform(0, width - 50)))
                expected = np.empty((height, width, 3), np.uint8)
                expected[:] = [124, 116, 104]
                expected[y : y + 30, x : x + 50] = image
        np.testing.assert_array_equal(found, expected)


def ground_of(operator, image, setting):
    with seeded(1):
        canvas = operator.get_transform(image, BOX, setting).apply_image(image)
    return canvas[0, 0].tolist()


def test_the_colour_is_given_as_rgb_and_painted_in_the_image_s_order():
    image = np.zeros((20, 20, 3), np.uint8)
    operator = RandomExpand(4, 1, [10, 20, 30])
    assert ground_of(operator, image, Setting("RGB")) == [10, 20, 30]
    assert ground_of(operator, image, Setting("BGR")) == [30, 20, 10]


def test_other_channels_take_the_mean_unless_a_colour_is_given():
    image = np.zeros((20, 20, 2), np.float32)
    setting = Setting("RGB", 2, mean=(7.5, 900.0))
    assert ground_of(RandomExpand(4, 1), image, setting) == [7.5, 900.0]
    RandomExpand().check(setting)
    RandomExpand(fill_value=[1, 2]).check(setting)
    with pytest.raises(ValueError, match=r"RandomExpand\.fill_value is .*; 2 numbers are needed"):
        RandomExpand(fill_value=[1, 2, 3, 4]).check(setting)


def test_an_image_without_objects_stays():
    image = np.zeros((20, 20, 3), np.uint8)
    none = RandomExpand(4, 1).get_transform(image, np.zeros((0, 4)), Setting())
    assert none.apply_image(image) is image


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"ratio": 0.5}, r"RandomExpand\.ratio is 0\.5; allowed: >= 1"),
        ({"ratio": float("inf")}, r"ratio is inf; a number is needed \(>= 1\)"),
        ({"prob": 2}, r"prob is 2\.0; allowed: >= 0 and <= 1"),
        ({"fill_value": 3}, "fill_value is 3; a list of numbers is needed"),
    ],
)
def test_mistakes(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        RandomExpand(**arguments)
