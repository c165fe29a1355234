"""Local contrast, blur and noise."""

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur

from paddlex_maskrcnn.data.samples import seeded
from paddlex_maskrcnn.data.transforms import CLAHE, RandomBlur, RandomNoise
from paddlex_maskrcnn.data.transforms.operator import ImageContext

GREY = np.random.default_rng(0).integers(90, 140, (64, 48, 1)).astype(np.uint8)


def equalized(image, order="RGB", **arguments):
    context = ImageContext(order, image.shape[2])
    return CLAHE(**arguments).get_transform(image, context).apply_image(image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_is_opencv_s(dtype):
    image = GREY.astype(dtype) * (1 if dtype == np.uint8 else 200)
    expected = cv2.createCLAHE(3.0, (4, 2)).apply(image[:, :, 0])
    found = equalized(image, clip_limit=3.0, tile_grid_size=[4, 2])
    np.testing.assert_array_equal(found[:, :, 0], expected)
    assert found.std() > 1.5 * image.std()


def test_sixteen_bits_as_the_reader_gives_them():
    image = GREY.astype(np.uint16) * 200
    found = equalized(image.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, equalized(image))


def test_colours_keep_their_hue_and_gain_contrast():
    image = np.concatenate([GREY, GREY // 2, GREY // 4], axis=2)
    found = equalized(image)
    assert found.std() > 1.2 * image.std()
    assert (found[:, :, 0] >= found[:, :, 2]).mean() > 0.98
    mirrored = equalized(np.ascontiguousarray(image[:, :, ::-1]), "BGR")
    np.testing.assert_array_equal(mirrored[:, :, ::-1], found)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_colours_of_sixteen_bits_change_as_those_of_eight(dtype):
    image = np.concatenate([GREY, GREY // 2, GREY // 4], axis=2)
    found = equalized(image.astype(dtype) * 257)
    assert found.dtype == dtype
    # OpenCV limits contrast by more than a hundred times as many bins, so it is not quite the same.
    assert np.corrcoef(found.ravel() / 257, equalized(image).ravel())[0, 1] > 0.97
    assert found.std() > 1.2 * 257 * image.std()


def test_prediction_does_it_too():
    operator = CLAHE(3.0, (4, 4))
    assert operator.deterministic() is operator


def test_what_it_cannot_do_is_said():
    with pytest.raises(ValueError, match=r"1 or 3 channels, but these have 4 \(input_channel\)"):
        CLAHE().check(ImageContext(num_channels=4))
    with pytest.raises(ValueError, match="8 or 16 bits; this one has values that are no whole"):
        equalized(GREY / np.float32(255))
    with pytest.raises(ValueError, match="8 or 16 bits"):
        equalized(np.full((8, 8, 3), -1, np.float32))


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"clip_limit": 0}, r"CLAHE\.clip_limit is 0\.0; allowed: >= 0\.01"),
        (
            {"tile_grid_size": 8},
            r"tile_grid_size is 8; allowed: a list of whole numbers, \[columns, rows\], each >= 1",
        ),
        ({"tile_grid_size": [8, 0]}, "tile_grid_size"),
    ],
)
def test_mistakes_of_clahe(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        CLAHE(**arguments)


KINDS = [(channels, dtype) for channels in (1, 3, 6) for dtype in (np.uint8, np.uint16, np.float32)]


def grainy(channels, dtype):
    return np.random.default_rng(0).integers(50, 200, (40, 30, channels)).astype(dtype)


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_blur_is_gaussian_in_each_channel(channels, dtype):
    image = grainy(channels, dtype)
    found = RandomBlur(prob=1, sigma=[1.5, 1.5]).get_transform(image).apply_image(image)
    assert found.dtype == dtype
    planes = torch.from_numpy(image.astype(np.float32).transpose(2, 0, 1))
    expected = gaussian_blur(planes, [13, 13], [1.5, 1.5]).numpy().transpose(1, 2, 0)
    assert np.abs(found - expected).max() < 1.5


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_noise_has_its_strength_in_each_channel(channels, dtype):
    image = np.full((60, 50, channels), 120, dtype)
    context = ImageContext(
        num_channels=channels, span=tuple(100.0 * (1 + k) for k in range(channels))
    )
    operator = RandomNoise(prob=1, std=[0.05, 0.05])
    found = operator.get_transform(image, context).apply_image(image)
    assert found.dtype == dtype
    spread = (found.astype(float) - 120).std(axis=(0, 1))
    np.testing.assert_allclose(spread, [5.0 * (1 + k) for k in range(channels)], rtol=0.07)


def test_noise_ends_at_black_and_white():
    for value in (0, 255):
        image = np.full((20, 20, 3), value, np.uint8)
        transform = RandomNoise(prob=1, std=[0.2, 0.2]).get_transform(image, ImageContext())
        assert np.abs(transform.apply_image(image).astype(int) - value).max() < 255


def test_noise_is_the_same_for_the_same_seed_and_another_for_another():
    image = grainy(3, np.uint8)

    def noisy(seed):
        with seeded(seed):
            operator = RandomNoise(prob=1, std=[0.05, 0.05])
            return operator.get_transform(image, ImageContext()).apply_image(image)

    np.testing.assert_array_equal(noisy(1), noisy(1))
    assert (noisy(1) != noisy(2)).any()


def test_bgr_gets_the_strength_of_its_own_channels():
    image = np.full((60, 50, 3), 120, np.uint8)
    context = ImageContext("BGR", 3, span=(300.0, 200.0, 100.0))
    transform = RandomNoise(prob=1, std=[0.05, 0.05]).get_transform(image, context)
    spread = (transform.apply_image(image) - 120.0).std(axis=(0, 1))
    assert spread[0] < spread[1] < spread[2]


@pytest.mark.parametrize("operator", [RandomBlur(), RandomNoise()])
def test_only_some_images_in_training_and_none_in_prediction(operator):
    image, changed = grainy(3, np.uint8), 0
    arguments = (image,) if isinstance(operator, RandomBlur) else (image, ImageContext())
    for seed in range(200):
        with seeded(seed):
            changed += operator.get_transform(*arguments).apply_image(image) is not image
    assert 5 < changed < 40
    assert operator.deterministic() is None
    assert operator.smallest_size(10, 10) is None


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (
            lambda: RandomBlur(sigma=[0, 1]),
            r"RandomBlur\.sigma is \[0\.0, 1\.0\]; allowed: \[lowest, highest\], each >= 0\.01",
        ),
        (lambda: RandomBlur(sigma=2), "sigma is 2; allowed: a list of numbers"),
        (
            lambda: RandomNoise(std=[0.2, 0.1]),
            r"std is \[0\.2, 0\.1\]; allowed: \[lowest, highest\], each >= 0 and <= 1",
        ),
        (lambda: RandomNoise(prob=3), r"RandomNoise\.prob is 3\.0; allowed"),
    ],
)
def test_mistakes_of_blur_and_noise(make, fragment):
    with pytest.raises(ValueError, match=fragment):
        make()
