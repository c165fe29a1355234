import numpy as np
import pytest

from paddlex_maskrcnn.data.transforms import Normalize


def test_pixel_statistics_equal_the_documented_formula():
    """((x - min) / (max - min) - mean) / std is (x - pixel_mean) / pixel_std."""
    rng = np.random.default_rng(0)
    for channels in (1, 3, 4):
        mean, std, low = rng.uniform(0.1, 0.9, (3, channels))
        high = low + rng.uniform(1, 300, channels)
        x = rng.uniform(0, 300, (50, channels))
        expected = ((x - low) / (high - low) - mean) / std
        op = Normalize(mean.tolist(), std.tolist(), low.tolist(), high.tolist())
        np.testing.assert_allclose((x - op.pixel_mean) / op.pixel_std, expected)


def test_defaults_are_those_of_imagenet():
    op = Normalize()
    assert op.is_default
    np.testing.assert_allclose(op.pixel_mean, [123.675, 116.28, 103.53])
    np.testing.assert_allclose(op.pixel_std, [58.395, 57.12, 57.375])
    assert not Normalize(std=[0.229, 0.224, 0.22]).is_default


def test_default_range_fits_any_number_of_channels():
    op = Normalize(mean=[0.5] * 4, std=[0.25] * 4)
    assert op.pixel_mean == [127.5] * 4
    assert op.pixel_std == [63.75] * 4


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"mean": 0.5}, "Normalize: mean must be a list of numbers"),
        ({"mean": []}, "mean must be a list"),
        ({"mean": [0.5, "0.5", 0.5]}, "mean must be a list"),
        ({"std": [1, 1]}, r"std must be as long as mean \(3\), got \[1.0, 1.0\]"),
        ({"std": [1, 0, 1]}, "std must be positive"),
        ({"max_val": [255, 255, 0]}, "max_val must be above min_val"),
        ({"min_val": [0, 0]}, "min_val must be as long as mean"),
        ({"mean": [float("nan"), 0, 0]}, "mean must be a list"),
    ],
)
def test_mistakes(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        Normalize(**arguments)
