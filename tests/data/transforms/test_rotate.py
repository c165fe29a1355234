import numpy as np
import pytest

from paddlex_maskrcnn.data.samples import seeded
from paddlex_maskrcnn.data.transforms import RandomRotate90, RandomRotation
from paddlex_maskrcnn.data.transforms.operator import ImageContext
from paddlex_maskrcnn.data.transforms.rotate import QuarterTurns, Rotation


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_move_the_centre_of_every_pixel_with_it(turns):
    image = np.arange(35).reshape(5, 7)
    turn = QuarterTurns(5, 7, turns)
    found = turn.apply_image(image)
    ys, xs = np.mgrid[:5, :7]
    centers = np.stack([xs.ravel(), ys.ravel()], axis=1) + 0.5
    x, y = turn.apply_coords(centers).T
    assert found[y.astype(int), x.astype(int)].tolist() == image.ravel().tolist()
    np.testing.assert_array_equal(y % 1, 0.5)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_on_comes_back(turns):
    image = np.random.default_rng(0).random((5, 7, 2))
    there = QuarterTurns(5, 7, turns)
    turned = there.apply_image(image)
    back = QuarterTurns(*turned.shape[:2], 4 - turns)
    np.testing.assert_array_equal(back.apply_image(turned), image)
    points = np.array([[0.0, 1.0], [6.5, 4.0]])
    np.testing.assert_allclose(back.apply_coords(there.apply_coords(points.copy())), points)


@pytest.mark.parametrize("expand", [True, False])
@pytest.mark.parametrize("angle", [90, -90, 180])
def test_right_angles_are_quarter_turns(angle, expand):
    """A square picture, so that nothing is cut; positive is counter-clockwise."""
    image = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    turns = angle // 90 % 4
    rotation = Rotation(40, 40, angle, expand, [0, 0, 0])
    np.testing.assert_array_equal(rotation.apply_image(image), np.rot90(image, turns))
    mask = image[:, :, 0] > 100
    np.testing.assert_array_equal(rotation.apply_segmentation(mask), np.rot90(mask, turns))
    points = np.array([[3.0, 8.0], [40.0, 0.0]])
    expected = QuarterTurns(40, 40, turns).apply_coords(points)
    np.testing.assert_allclose(rotation.apply_coords(points), expected, atol=1e-9)


def test_the_ground_has_its_colour_in_every_channel():
    image = np.full((40, 40, 6), 200, np.uint8)
    turned = Rotation(40, 40, 45, False, [1, 2, 3, 4, 5, 6]).apply_image(image)
    assert turned[0, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert turned[20, 20].tolist() == [200] * 6


def test_angles_come_from_the_whole_range():
    image, operator = np.zeros((8, 8, 3), np.uint8), RandomRotation(angle=[-30, 10], prob=1)
    with seeded(0):
        angles = [operator.get_transform(image, ImageContext()).angle for _ in range(300)]
    assert -30 <= min(angles) < -25
    assert 5 < max(angles) <= 10
    assert RandomRotation(angle=15).angle == [-15, 15]


def test_quarters_come_from_the_list():
    image, operator = np.zeros((8, 8, 3), np.uint8), RandomRotate90(prob=1, turns=[1, 3])
    with seeded(0):
        assert {operator.get_transform(image).turns for _ in range(40)} == {1, 3}


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (
            lambda: RandomRotation(angle=[10, -10]),
            r"angle is \[10\.0, -10\.0\]; allowed: \[lowest, highest\]",
        ),
        (
            lambda: RandomRotation(angle=270),
            r"RandomRotation\.angle is 270\.0; allowed: >= -180 and <= 180",
        ),
        (lambda: RandomRotation(expand=1), "expand is 1; allowed: true or false"),
        (lambda: RandomRotate90(turns=[4]), r"turns is \[4\]; allowed: >= 1 and <= 3"),
        (lambda: RandomRotate90(prob=-1), r"RandomRotate90\.prob is -1\.0; allowed: >= 0"),
        (
            lambda: RandomRotation(fill_value=[0]).check(ImageContext()),
            r"fill_value is \[0\.0\]; 3 numbers are needed",
        ),
    ],
)
def test_mistakes(make, fragment):
    with pytest.raises(ValueError, match=fragment):
        make()
