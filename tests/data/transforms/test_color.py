import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from paddlex_maskrcnn.data.random_state import seeded
from paddlex_maskrcnn.data.transforms import ColorJitter
from paddlex_maskrcnn.data.transforms.color import brighten, contrast, saturate, turn_hue
from paddlex_maskrcnn.data.transforms.colors import luma
from paddlex_maskrcnn.data.transforms.setting import Setting

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
    setting = Setting(order)
    image = IMAGE if order == "RGB" else IMAGE[:, :, ::-1]
    found = ours(np.ascontiguousarray(image), factor, luma(setting))
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
            found = operator.get_transform(IMAGE, Setting()).apply_image(IMAGE)
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
                found = ColorJitter(prob=1).get_transform(image, Setting(order)).apply_image(image)
            both.append(found if order == "RGB" else found[:, :, ::-1])
        assert np.abs(both[0].astype(int) - both[1]).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_brightness_and_contrast_need_no_colours(channels, dtype):
    image = np.random.default_rng(0).integers(0, 256, (8, 6, channels)).astype(dtype)
    setting = Setting(num_channels=channels)
    operator = ColorJitter(saturation=0, hue=0, prob=1)
    operator.check(setting)
    with seeded(1):
        found = operator.get_transform(image, setting).apply_image(image)
    assert found.dtype == dtype
    assert found.shape == image.shape
    with pytest.raises(ValueError, match="ColorJitter: saturation and hue"):
        ColorJitter().check(setting)


def test_prediction_has_true_colours():
    assert ColorJitter().deterministic() is None


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"hue": 0.6}, r"ColorJitter\.hue is 0\.6; allowed: >= 0 and <= 0\.5"),
        ({"brightness": -1}, r"brightness is -1\.0; allowed: >= 0"),
        ({"prob": 1.2}, r"prob is 1\.2; allowed: >= 0 and <= 1"),
    ],
)
def test_mistakes(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        ColorJitter(**arguments)
