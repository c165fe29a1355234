"""Cutting parts out, and putting images on larger areas."""

import itertools

import numpy as np
import pytest

from paddlex_maskrcnn.data.samples import seeded
from paddlex_maskrcnn.data.transforms import RandomCrop, RandomExpand
from paddlex_maskrcnn.data.transforms.crop import Crop
from paddlex_maskrcnn.data.transforms.operator import ImageContext
from reference.iou_crop import iou_crop

BOXES = [[5, 5, 30, 40], [50, 10, 90, 30], [55, 35, 92, 60]]
CHOICES = [
    {"allow_no_crop": no_crop, "cover_all_box": cover, **ranges}
    for no_crop, cover, ranges in itertools.product(
        (True, False),
        (True, False),
        (
            {},
            {"aspect_ratio": [0.8, 1.5], "scaling": [0.7, 1.0], "thresholds": [0.05, 0.6]},
            {"scaling": [1.0, 1.0], "num_attempts": 3},
        ),
    )
]


@pytest.mark.parametrize("arguments", CHOICES)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_same_part_as_the_reference(arguments, count):
    operator, boxes = RandomCrop(**arguments), np.array(BOXES[:count], float).reshape(-1, 4)
    image, cuts = np.zeros((64, 96, 3), np.uint8), 0
    for seed in range(40):
        with seeded(seed):
            expected = iou_crop(64, 96, boxes.tolist(), **operator.to_config())
        with seeded(seed):
            found = operator.get_transform(image, boxes)
        assert isinstance(found, Crop) == (expected is not None)
        if expected is not None:
            cuts += 1
            x1, y1, x2, y2 = expected[0]
            assert (found.x0, found.y0, found.w, found.h) == (x1, y1, x2 - x1, y2 - y1)
    assert (cuts > 0) == (count > 0)


def test_objects_stay_with_their_centre(sample):
    """The reference decides by the boxes; a part of a dropped object may still show.

    Not all of them: a box may be in the part and nothing of its concave object.
    """
    operator, dropped = RandomCrop(allow_no_crop=False), 0
    for seed in range(30):
        before = sample(crowd=False)
        with seeded(seed):
            part, kept = iou_crop(60, 80, before.boxes.tolist(), **operator.to_config())
        with seeded(seed):
            operator(before)
        assert before.size == (part[3] - part[1], part[2] - part[0])
        shown = [k for k in kept if before.image[:, :, k].any()]
        assert [annotation.category for annotation in before.annotations()] == shown
        dropped += 3 - len(kept)
    assert dropped > 5


def test_a_part_as_large_as_the_image_is_no_error():
    operator = RandomCrop(aspect_ratio=[1, 1], scaling=[1, 1], allow_no_crop=False)
    found = operator.get_transform(np.zeros((40, 50, 3), np.uint8), np.array([[0, 0, 9, 9.0]]))
    assert isinstance(found, Crop) is False or (found.w, found.h) == (50, 40)


def test_what_a_reduced_file_may_be_cut_to():
    operator, (height, width) = RandomCrop(), RandomCrop().smallest_size(600, 1000)
    for seed in range(200):
        with seeded(seed):
            _, _, w, h = operator._draw_part(600, 1000)
        assert h >= height
        assert w >= width


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (
            {"aspect_ratio": [2, 0.5]},
            r"RandomCrop\.aspect_ratio is \[2\.0, 0\.5\]; allowed: \[lowest, highest\]",
        ),
        ({"aspect_ratio": [2, 3]}, "with 1 between them"),
        (
            {"scaling": [0.3, 1.2]},
            r"scaling is .*; allowed: \[lowest, highest\], each >= 0\.01 and <= 1",
        ),
        ({"thresholds": []}, r"thresholds is \[\]; allowed: .* not empty"),
        ({"thresholds": [1.5]}, r"thresholds is \[1\.5\]; allowed: >= 0 and <= 1"),
        ({"num_attempts": 0}, "num_attempts is 0; allowed: >= 1"),
        ({"allow_no_crop": "yes"}, "allow_no_crop is 'yes'; allowed: true or false"),
    ],
)
def test_mistakes_of_crop(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        RandomCrop(**arguments)


BOX = np.array([[2.0, 2.0, 8.0, 8.0]])


def test_size_and_place_by_the_book():
    """PaddleX's steps one by one, with the same random numbers."""
    image = np.random.default_rng(0).integers(0, 255, (30, 50, 3)).astype(np.uint8)
    for seed in range(20):
        with seeded(seed):
            found = (
                RandomExpand(3, 0.5).get_transform(image, BOX, ImageContext()).apply_image(image)
            )
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


def colour_around(operator, image, context):
    with seeded(1):
        canvas = operator.get_transform(image, BOX, context).apply_image(image)
    return canvas[0, 0].tolist()


def test_the_colour_is_given_as_rgb_and_painted_in_the_image_s_order():
    image = np.zeros((20, 20, 3), np.uint8)
    operator = RandomExpand(4, 1, [10, 20, 30])
    assert colour_around(operator, image, ImageContext("RGB")) == [10, 20, 30]
    assert colour_around(operator, image, ImageContext("BGR")) == [30, 20, 10]


def test_other_channels_take_the_mean_unless_a_colour_is_given():
    image = np.zeros((20, 20, 2), np.float32)
    context = ImageContext("RGB", 2, mean=(7.5, 900.0))
    assert colour_around(RandomExpand(4, 1), image, context) == [7.5, 900.0]
    RandomExpand().check(context)
    RandomExpand(fill_value=[1, 2]).check(context)
    with pytest.raises(ValueError, match=r"RandomExpand\.fill_value is .*; 2 numbers are needed"):
        RandomExpand(fill_value=[1, 2, 3, 4]).check(context)


def test_an_image_without_objects_stays():
    image = np.zeros((20, 20, 3), np.uint8)
    none = RandomExpand(4, 1).get_transform(image, np.zeros((0, 4)), ImageContext())
    assert none.apply_image(image) is image


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"ratio": 0.5}, r"RandomExpand\.ratio is 0\.5; allowed: >= 1"),
        ({"ratio": float("inf")}, r"ratio is inf; allowed: a number, >= 1"),
        ({"prob": 2}, r"prob is 2\.0; allowed: >= 0 and <= 1"),
        ({"fill_value": 3}, "fill_value is 3; allowed: a list of numbers"),
    ],
)
def test_mistakes_of_expand(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        RandomExpand(**arguments)
