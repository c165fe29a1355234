"""Sizes: resizing, large-scale jitter and padding."""

import cv2
import numpy as np
import pytest
from detectron2.data import transforms as d2

from paddlex_maskrcnn.data.images import resized_size
from paddlex_maskrcnn.data.samples import seeded
from paddlex_maskrcnn.data.transforms import LargeScaleJitter, Padding, Resize, ResizeByShort
from paddlex_maskrcnn.data.transforms.operator import ImageContext
from paddlex_maskrcnn.data.transforms.resize import OpenCVResize


def size_by_the_book(height, width, short, longest):
    """PaddleX's rule, step by step with NumPy's rounding."""
    scale = float(short) / min(height, width)
    if longest > 0 and np.round(scale * max(height, width)) > longest:
        scale = float(longest) / max(height, width)
    return int(np.round(height * scale)), int(np.round(width * scale))


def test_size_rule_over_many_shapes():
    rng = np.random.default_rng(0)
    for height, width in rng.integers(20, 3000, (500, 2)).tolist():
        for short, longest in [(800, 1333), (600, 0), (33, 40), (640, -1)]:
            expected = size_by_the_book(height, width, short, longest)
            assert resized_size(height, width, short, longest) == expected


def test_size_never_vanishes():
    assert resized_size(1, 5000, 800, 1333) == (1, 1333)


def test_long_side_decides_only_beyond_the_limit():
    assert resized_size(600, 1000, 800, 1333) == (800, 1333)
    assert resized_size(600, 1001, 800, 1333) == (799, 1333)


def test_each_image_draws_one_of_several_lengths():
    np.random.seed(0)
    op, image = ResizeByShort([16, 24, 32], 0), np.zeros((20, 40, 3), np.uint8)
    drawn = [op.get_transform(image).new_h for _ in range(300)]
    assert set(drawn) == {16, 24, 32}
    assert min(drawn.count(s) for s in (16, 24, 32)) > 70


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("new", [(10, 9), (40, 50)])
def test_any_depth_and_number_of_channels(dtype, channels, new):
    """Each channel by itself is the reference; mirrored memory must not matter."""
    image = np.random.default_rng(0).integers(0, 255, (24, 30, channels)).astype(dtype)[:, ::-1]
    resized = OpenCVResize(24, 30, *new).apply_image(image)
    assert resized.shape == (*new, channels)
    assert resized.dtype == dtype
    rule = cv2.INTER_AREA if new[0] < 12 else cv2.INTER_LINEAR
    for c in range(channels):
        plane = cv2.resize(np.ascontiguousarray(image[:, :, c]), new[::-1], interpolation=rule)
        np.testing.assert_allclose(resized[:, :, c].astype(float), plane, atol=1.01)


def test_shrinking_averages_instead_of_skipping():
    """A pattern of single pixels turns grey, where bilinear sampling would keep or lose it."""
    image = np.zeros((60, 60, 1), np.uint8)
    image[::3, ::3] = 255
    small = OpenCVResize(60, 60, 20, 20).apply_image(image)
    assert np.all(np.abs(small.astype(int) - 28) <= 1)


def test_masks_keep_their_values_and_follow_the_nearest_centre():
    mask = np.random.default_rng(0).random((12, 18)) > 0.5
    for new_h, new_w in [(24, 36), (5, 7), (13, 40)]:
        rows = ((np.arange(new_h) + 0.5) * 12 / new_h).astype(int)
        columns = ((np.arange(new_w) + 0.5) * 18 / new_w).astype(int)
        resized = OpenCVResize(12, 18, new_h, new_w).apply_segmentation(mask)
        assert resized.dtype == bool
        np.testing.assert_array_equal(resized, mask[rows][:, columns])


def test_coordinates_scale_and_come_back():
    resize = OpenCVResize(10, 20, 30, 50)
    points = np.array([[0.0, 0.0], [20.0, 10.0], [5.0, 5.0]])
    moved = resize.apply_coords(points.copy())
    np.testing.assert_allclose(moved, [[0, 0], [50, 30], [12.5, 15]])
    np.testing.assert_allclose(resize.inverse().apply_coords(moved), points)


def test_nothing_is_done_to_an_image_of_the_right_size():
    transform = ResizeByShort(20, 100).get_transform(np.zeros((20, 40, 3), np.uint8))
    assert isinstance(transform, d2.NoOpTransform)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"short_size": 0}, r"ResizeByShort\.short_size is 0; allowed: >= 1$"),
        ({"short_size": []}, r"short_size is \[\]; allowed: >= 1 and not empty"),
        ({"short_size": "800"}, "short_size"),
        (
            {"short_size": [600, 8.5]},
            r"short_size is \[600, 8\.5\]; allowed: a whole number or a list of whole numbers",
        ),
        ({"short_size": True}, "short_size"),
        ({"max_size": "1333"}, "max_size is '1333'; allowed: a whole number"),
    ],
)
def test_mistakes_of_resize_by_short(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        ResizeByShort(**arguments)


@pytest.mark.parametrize(("target", "shape"), [(40, (40, 40)), ([50, 30], (30, 50))])
def test_a_fixed_size_is_width_and_height(target, shape):
    image = np.zeros((24, 36, 3), np.uint8)
    transform = Resize(target).get_transform(image)
    assert transform.apply_image(image).shape[:2] == shape
    np.testing.assert_allclose(transform.apply_coords(np.array([[36.0, 24.0]])), [shape[::-1]])


@pytest.mark.parametrize("name", ["NEAREST", "CUBIC", "AREA", "LANCZOS4"])
def test_interpolation_is_the_one_that_was_asked_for(name):
    image = np.random.default_rng(0).integers(0, 255, (24, 36, 3)).astype(np.uint8)
    expected = cv2.resize(image, (50, 30), interpolation=getattr(cv2, f"INTER_{name}"))
    found = Resize([50, 30], name).get_transform(image).apply_image(image)
    np.testing.assert_array_equal(found, expected)


def test_random_interpolation_is_drawn_for_each_image_and_not_for_prediction():
    image = np.random.default_rng(0).integers(0, 255, (24, 36, 3)).astype(np.uint8)
    np.random.seed(0)
    random = Resize(30, "RANDOM")
    seen = {random.get_transform(image).apply_image(image).tobytes() for _ in range(60)}
    assert len(seen) >= 4  # AREA and LINEAR may agree when enlarging
    assert random.deterministic().to_config() == {"target_size": 30, "interp": "LINEAR"}


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (
            {"target_size": [3, 4, 5]},
            r"Resize\.target_size is \[3, 4, 5\]; allowed: \[width, height\], each >= 1",
        ),
        (
            {"interp": "BICUBIC"},
            "interp is 'BICUBIC'; choose one of NEAREST, LINEAR.* did you mean 'CUBIC'",
        ),
    ],
)
def test_mistakes_of_a_fixed_size(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        Resize(**arguments)


@pytest.mark.parametrize("shape", [(60, 80), (90, 40), (64, 64)])
def test_detectron2_moves_points_and_pixels_alike(shape):
    """Its ResizeScale and FixedSizeCrop draw the same numbers in the same order."""
    rows = (
        np.linspace(0, 200, shape[0])[:, None, None] + np.linspace(0, 50, shape[1])[None, :, None]
    )
    image = np.repeat(rows, 3, axis=2).astype(np.uint8)
    ours = LargeScaleJitter(target_size=[96, 72], min_scale=0.4, max_scale=2, fill_value=[128] * 3)
    theirs = d2.AugmentationList([d2.ResizeScale(0.4, 2, 72, 96), d2.FixedSizeCrop((72, 96))])
    points = np.array([[0.0, 0.0], [10.5, 20.25], [shape[1], shape[0]]])
    for seed in range(20):
        with seeded(seed):
            found = ours.get_transform(image, ImageContext())
        with seeded(seed):
            carrier = d2.AugInput(image)
            expected = theirs(carrier)
        np.testing.assert_allclose(
            found.apply_coords(points.copy()), expected.apply_coords(points.copy())
        )
        pixels = found.apply_image(image)
        assert pixels.shape == (72, 96, 3)
        assert np.abs(pixels.astype(int) - carrier.image.astype(int)).mean() < 2


def test_the_ground_is_the_mean():
    context = ImageContext("BGR", 3, mean=(10.0, 20.0, 30.0))
    image = np.full((40, 40, 3), 255, np.uint8)
    jitter = LargeScaleJitter(target_size=64, min_scale=0.5, max_scale=0.5)
    found = jitter.get_transform(image, context).apply_image(image)
    assert found[-1, -1].tolist() == [30, 20, 10]
    assert found[0, 0].tolist() == [255, 255, 255]
    with pytest.raises(
        ValueError, match=r"LargeScaleJitter\.fill_value is \[.*\]; 3 numbers are needed"
    ):
        LargeScaleJitter(fill_value=[1]).check(context)


def test_prediction_fits_the_image_into_the_target():
    left = LargeScaleJitter(target_size=[96, 72]).deterministic()
    assert isinstance(left, ResizeByShort)
    assert left.to_config() == {"short_size": 72, "max_size": 96}


def test_how_much_it_enlarges_at_most():
    jitter = LargeScaleJitter(target_size=[100, 50], max_scale=1.5)
    assert jitter.largest_zoom(500, 500) == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"target_size": 0}, "target_size is 0; allowed: >= 1"),
        ({"target_size": [3]}, r"target_size is \[3\]; allowed: \[width, height\], each >= 1"),
        ({"min_scale": 0}, r"min_scale is 0\.0; allowed: >= 0\.01"),
        (
            {"min_scale": 2, "max_scale": 1},
            r"LargeScaleJitter\.max_scale is 1\.0; allowed: at least min_scale, 2\.0",
        ),
    ],
)
def test_mistakes_of_jitter(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        LargeScaleJitter(**arguments)


@pytest.mark.parametrize("stride", [1, 7, 32])
def test_stride_gives_the_next_multiple(stride):
    for side in range(1, 100):
        padded, same = Padding(stride).padded_size(side, stride)
        assert padded % stride == 0
        assert 0 <= padded - side < stride
        assert same == stride


def test_target_wins_and_is_width_then_height():
    assert Padding(32, [60, 50]).padded_size(50, 60) == (50, 60)
    assert Padding(32, 70).padded_size(50, 60) == (70, 70)


@pytest.mark.parametrize("size", [(51, 60), (50, 61)])
def test_larger_image_than_target(size):
    with pytest.raises(ValueError, match=r"Padding\.target_size is \[60, 50\] .*, smaller"):
        Padding(target_size=[60, 50]).padded_size(*size)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"coarsest_stride": 0}, "coarsest_stride is 0; allowed: >= 1"),
        ({"coarsest_stride": 32.5}, "coarsest_stride"),
        ({"target_size": 0}, "target_size is 0; allowed: >= 1"),
        ({"target_size": [640]}, "target_size"),
        ({"target_size": [640, -1]}, "target_size"),
        ({"target_size": "640"}, "target_size"),
    ],
)
def test_mistakes_of_padding(arguments, fragment):
    with pytest.raises(ValueError, match=rf"Padding\.{fragment}"):
        Padding(**arguments)
