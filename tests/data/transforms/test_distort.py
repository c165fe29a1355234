import numpy as np
import pytest

from paddlex_maskrcnn.data.random_state import seeded
from paddlex_maskrcnn.data.transforms import RandomDistort
from paddlex_maskrcnn.data.transforms.setting import Setting
from reference.distort import distort

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 9, 3)).astype(np.uint8)
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


def run(operator, image, setting, seed):
    with seeded(seed):
        return operator.get_transform(image, setting).apply_image(image)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_same_colours_as_step_by_step(name, order):
    changed = 0
    image = IMAGE if order == "RGB" else IMAGE[:, :, ::-1]
    for seed in range(20):
        found = run(OPERATORS[name], image, Setting(order), seed)
        with seeded(seed):
            expected = distort(IMAGE, OPERATORS[name].to_config())
        expected = np.clip(expected if order == "RGB" else expected[:, :, ::-1], 0, 255)
        assert found.dtype == np.uint8
        assert np.abs(found - expected).max() <= 1.01
        changed += np.abs(found - image.astype(float)).mean() > 2
    assert changed >= 10


def test_floats_are_not_cut():
    image = IMAGE.astype(np.float32) * 10
    operator = RandomDistort(brightness_prob=1, brightness_range=1)
    for seed in range(5):
        found = run(operator, image, Setting(), seed)
        with seeded(seed):
            expected = distort(image, operator.to_config())
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0.05)


def test_hue_is_degrees():
    """PaddleX turned a default 18 by up to 18 half circles: pure red could become anything."""
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    for seed in range(30):
        pixel = run(ONLY["hue"], red, Setting(), seed)[0, 0].astype(int)
        assert pixel[0] > 150
        assert pixel.argmax() == 0


def test_channels_without_colours():
    image = np.random.default_rng(0).integers(0, 256, (6, 5, 4)).astype(np.uint8)
    plain = RandomDistort(brightness_prob=1, contrast_prob=1, saturation_prob=0, hue_prob=0)
    plain.check(Setting(num_channels=4))
    with seeded(3):
        found = plain.get_transform(image, Setting(num_channels=4)).apply_image(image)
    gain, offset = np.polyfit(image.ravel(), found.ravel().astype(float), 1)
    inside = (found > 0) & (found < 255)
    assert np.abs(found - (gain * image + offset))[inside].max() < 8
    with pytest.raises(ValueError, match=r"RandomDistort: saturation and hue .* have 4 \(input_ch"):
        RandomDistort().check(Setting(num_channels=4))


def test_prediction_has_true_colours():
    assert RandomDistort().deterministic() is None


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"brightness_range": 1.5}, r"brightness_range is 1\.5; allowed: >= 0 and <= 1"),
        ({"hue_range": -1}, r"RandomDistort\.hue_range is -1\.0; allowed: >= 0"),
        ({"hue_prob": "x"}, r"hue_prob is 'x'; a number is needed \(>= 0 and <= 1\)"),
    ],
)
def test_mistakes(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        RandomDistort(**arguments)
