"""Statistics and changes of colour, against torchvision and PaddleX's formulas."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from paddlex_maskrcnn.data.samples import seeded
from paddlex_maskrcnn.data.transforms import ColorJitter, Normalize, RandomDistort
from paddlex_maskrcnn.data.transforms.color import brighten, contrast, luma, saturate, turn_hue
from paddlex_maskrcnn.data.transforms.operator import ImageContext
from reference.distort import distort


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
        ({"mean": 0.5}, r"Normalize\.mean is 0\.5; allowed: a list of numbers"),
        ({"mean": []}, r"mean is \[\]; allowed: not empty"),
        (
            {"mean": [0.5, "0.5", 0.5]},
            r"mean is \[0\.5, '0\.5', 0\.5\]; allowed: a list of numbers",
        ),
        ({"std": [1, 1]}, r"std is \[1\.0, 1\.0\]; allowed: as many entries as mean has, 3"),
        ({"std": [1, 0, 1]}, r"std is .*; allowed: > 0 and not empty"),
        (
            {"max_val": [255, 255, 0]},
            r"max_val is .*; allowed: numbers above those of min_val, .*",
        ),
        ({"min_val": [0, 0]}, "min_val is .*; allowed: as many entries as mean"),
        ({"mean": [float("nan"), 0, 0]}, "mean is .*nan.*; allowed: a list of numbers"),
    ],
)
def test_mistakes_of_normalize(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        Normalize(**arguments)


IMAGE = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)


def by_torchvision(function, image, number):
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return function(tensor, number).numpy().transpose(1, 2, 0)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("factor", [0, 0.3, 1, 1.7])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (brighten, reference.adjust_brightness),
        (contrast, reference.adjust_contrast),
        (saturate, reference.adjust_saturation),
    ],
)
def test_one_change_is_torchvision_s(ours, theirs, factor, order):
    context = ImageContext(order)
    image = IMAGE if order == "RGB" else IMAGE[:, :, ::-1]
    found = ours(np.ascontiguousarray(image), factor, luma(context))
    expected = by_torchvision(theirs, IMAGE, factor)
    expected = expected if order == "RGB" else expected[:, :, ::-1]
    assert np.abs(found.astype(int) - expected).max() <= 2  # it cuts to whole greys on the way


@pytest.mark.parametrize("circles", [-0.5, -0.1, 0.0, 0.07, 0.4])
@pytest.mark.parametrize("is_rgb", [True, False])
def test_hue_is_torchvision_s(circles, is_rgb):
    image = IMAGE if is_rgb else np.ascontiguousarray(IMAGE[:, :, ::-1])
    expected = by_torchvision(reference.adjust_hue, IMAGE, circles).astype(int)
    expected = expected if is_rgb else expected[:, :, ::-1]
    coarse = np.abs(turn_hue(image, circles, is_rgb) - expected)
    assert coarse.mean() < 1.5
    assert coarse.max() <= 8  # hue in 256 steps
    fine = turn_hue(image.astype(np.float32), circles, is_rgb)
    assert np.abs(fine - expected).max() <= 1.01


def test_all_four_in_every_order_and_the_type_stays():
    operator = ColorJitter(prob=1)
    means = []
    for seed in range(30):
        with seeded(seed):
            found = operator.get_transform(IMAGE, ImageContext()).apply_image(IMAGE)
        assert found.dtype == np.uint8
        assert found.shape == IMAGE.shape
        means.append(found.mean())
    assert np.std(means) > 5


def test_bgr_is_jittered_as_rgb_is():
    for seed in range(5):
        both = []
        for order in ("RGB", "BGR"):
            image = IMAGE if order == "RGB" else np.ascontiguousarray(IMAGE[:, :, ::-1])
            with seeded(seed):
                found = (
                    ColorJitter(prob=1).get_transform(image, ImageContext(order)).apply_image(image)
                )
            both.append(found if order == "RGB" else found[:, :, ::-1])
        assert np.abs(both[0].astype(int) - both[1]).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_brightness_and_contrast_need_no_colours(channels, dtype):
    image = np.random.default_rng(0).integers(0, 256, (8, 6, channels)).astype(dtype)
    context = ImageContext(num_channels=channels)
    operator = ColorJitter(saturation=0, hue=0, prob=1)
    operator.check(context)
    with seeded(1):
        found = operator.get_transform(image, context).apply_image(image)
    assert found.dtype == dtype
    assert found.shape == image.shape
    with pytest.raises(ValueError, match="ColorJitter: saturation and hue"):
        ColorJitter().check(context)


def test_prediction_does_not_jitter():
    assert ColorJitter().deterministic() is None


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"hue": 0.6}, r"ColorJitter\.hue is 0\.6; allowed: >= 0 and <= 0\.5"),
        ({"brightness": -1}, r"brightness is -1\.0; allowed: >= 0"),
        ({"prob": 1.2}, r"prob is 1\.2; allowed: >= 0 and <= 1"),
    ],
)
def test_mistakes_of_jitter(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        ColorJitter(**arguments)


SMALL = np.random.default_rng(0).integers(0, 256, (12, 9, 3)).astype(np.uint8)
ONLY = {
    name: RandomDistort(**{f"{other}_prob": float(other == name) for other in
                           ("brightness", "contrast", "saturation", "hue")})
    for name in ("brightness", "contrast", "saturation", "hue")
}  # fmt: skip
OPERATORS = {
    "defaults": RandomDistort(),
    "all at once": RandomDistort(
        brightness_prob=1, contrast_prob=1, saturation_prob=1, hue_prob=1, hue_range=180
    ),
    **ONLY,
}


def run(operator, image, context, seed):
    with seeded(seed):
        return operator.get_transform(image, context).apply_image(image)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_same_colours_as_step_by_step(name, order):
    changed = 0
    image = SMALL if order == "RGB" else SMALL[:, :, ::-1]
    for seed in range(20):
        found = run(OPERATORS[name], image, ImageContext(order), seed)
        with seeded(seed):
            expected = distort(SMALL, OPERATORS[name].to_config())
        expected = np.clip(expected if order == "RGB" else expected[:, :, ::-1], 0, 255)
        assert found.dtype == np.uint8
        assert np.abs(found - expected).max() <= 1.01
        changed += np.abs(found - image.astype(float)).mean() > 2
    assert changed >= 10


def test_floats_are_not_cut():
    image = SMALL.astype(np.float32) * 10
    operator = RandomDistort(brightness_prob=1, brightness_range=1)
    for seed in range(5):
        found = run(operator, image, ImageContext(), seed)
        with seeded(seed):
            expected = distort(image, operator.to_config())
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0.05)


def test_hue_is_degrees():
    """PaddleX turned a default 18 by up to 18 half circles: pure red could become anything."""
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    for seed in range(30):
        pixel = run(ONLY["hue"], red, ImageContext(), seed)[0, 0].astype(int)
        assert pixel[0] > 150
        assert pixel.argmax() == 0


def test_channels_without_colours():
    image = np.random.default_rng(0).integers(0, 256, (6, 5, 4)).astype(np.uint8)
    plain = RandomDistort(brightness_prob=1, contrast_prob=1, saturation_prob=0, hue_prob=0)
    plain.check(ImageContext(num_channels=4))
    with seeded(3):
        found = plain.get_transform(image, ImageContext(num_channels=4)).apply_image(image)
    gain, offset = np.polyfit(image.ravel(), found.ravel().astype(float), 1)
    inside = (found > 0) & (found < 255)
    assert np.abs(found - (gain * image + offset))[inside].max() < 8
    with pytest.raises(ValueError, match=r"RandomDistort: saturation and hue .* have 4 \(input_ch"):
        RandomDistort().check(ImageContext(num_channels=4))


def test_prediction_does_not_distort():
    assert RandomDistort().deterministic() is None


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"brightness_range": 1.5}, r"brightness_range is 1\.5; allowed: >= 0 and <= 1"),
        ({"hue_range": -1}, r"RandomDistort\.hue_range is -1\.0; allowed: >= 0"),
        ({"hue_prob": "x"}, r"hue_prob is 'x'; allowed: a number, >= 0 and <= 1"),
    ],
)
def test_mistakes_of_distort(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        RandomDistort(**arguments)
