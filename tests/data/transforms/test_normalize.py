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
        ({"mean": 0.5}, r"Normalize\.mean is 0\.5; a list of numbers is needed"),
        ({"mean": []}, r"mean is \[\]; allowed: not empty"),
        (
            {"mean": [0.5, "0.5", 0.5]},
            r"mean is \[0\.5, '0\.5', 0\.5\]; a list of numbers is needed",
        ),
        ({"std": [1, 1]}, r"std is \[1\.0, 1\.0\]; as many entries as mean has, 3, are needed"),
        ({"std": [1, 0, 1]}, r"std is .*; allowed: > 0 and not empty"),
        (
            {"max_val": [255, 255, 0]},
            r"max_val is .*; numbers above those of min_val, .*, are needed",
        ),
        ({"min_val": [0, 0]}, "min_val is .*; as many entries as mean"),
        ({"mean": [float("nan"), 0, 0]}, "mean is .*nan.*; a list of numbers is needed"),
    ],
)
def test_mistakes(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        Normalize(**arguments)
