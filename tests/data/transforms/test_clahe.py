import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.data.transforms import CLAHE
from paddlex_maskrcnn.data.transforms.setting import Setting

GREY = np.random.default_rng(0).integers(90, 140, (64, 48, 1)).astype(np.uint8)


def equalized(image, order="RGB", **arguments):
    setting = Setting(order, image.shape[2])
    return CLAHE(**arguments).get_transform(image, setting).apply_image(image)


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
        CLAHE().check(Setting(num_channels=4))
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
            r"tile_grid_size is 8; a list of whole numbers is needed \(\[columns, rows\], each >= 1\)",
        ),
        ({"tile_grid_size": [8, 0]}, "tile_grid_size"),
    ],
)
def test_mistakes(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        CLAHE(**arguments)
