import numpy as np
import pytest
from detectron2.data import transforms as d2

from paddlex_maskrcnn.data.random_state import seeded
from paddlex_maskrcnn.data.transforms import LargeScaleJitter, ResizeByShort
from paddlex_maskrcnn.data.transforms.setting import Setting


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
            found = ours.get_transform(image, Setting())
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
    setting = Setting("BGR", 3, mean=(10.0, 20.0, 30.0))
    image = np.full((40, 40, 3), 255, np.uint8)
    jitter = LargeScaleJitter(target_size=64, min_scale=0.5, max_scale=0.5)
    found = jitter.get_transform(image, setting).apply_image(image)
    assert found[-1, -1].tolist() == [30, 20, 10]
    assert found[0, 0].tolist() == [255, 255, 255]
    with pytest.raises(
        ValueError, match=r"LargeScaleJitter\.fill_value is \[.*\]; 3 numbers are needed"
    ):
        LargeScaleJitter(fill_value=[1]).check(setting)


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
            r"LargeScaleJitter\.max_scale is 1\.0; at least min_scale, 2\.0, is needed",
        ),
    ],
)
def test_mistakes(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        LargeScaleJitter(**arguments)
