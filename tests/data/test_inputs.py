"""What `predict` is given: the same pixels of a file, an array and a Pillow picture, or what to give."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from paddlex_maskrcnn.data.images import read_image
from paddlex_maskrcnn.data.inputs import input_pixels
from paddlex_maskrcnn.data.mapper import TestMapper
from paddlex_maskrcnn.det import transforms
from support.tiff_files import write_tiff

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)  # RGB
BLUE_FIRST = PIXELS[:, :, ::-1]


def saved(path, mode="RGB", **options):
    Image.fromarray(PIXELS).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_pillow_picture_is_what_its_file_is(tmp_path, mode, order):
    path = saved(tmp_path / "a.png", mode)
    np.testing.assert_array_equal(input_pixels(Image.open(path), order), read_image(path, order))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_pillow_picture_is_turned_as_its_file_is(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[274] = orientation
    path = saved(tmp_path / f"a.{suffix}", exif=exif)
    np.testing.assert_array_equal(input_pixels(Image.open(path), "RGB"), read_image(path, "RGB"))


@pytest.mark.parametrize("keep", [False, True])
def test_deep_pillow_pictures(tmp_path, keep):
    cv2.imwrite(str(tmp_path / "a.png"), PIXELS[:, :, 0].astype(np.uint16) * 200)
    for path in (
        tmp_path / "a.png",
        write_tiff(tmp_path / "f.tif", PIXELS[:, :, 0].astype(np.float32)),
    ):
        expected = read_image(path, "RGB", keep_values=keep)
        np.testing.assert_array_equal(input_pixels(Image.open(path), "RGB", 3, keep), expected)


def test_channels_of_a_pillow_picture(tmp_path):
    rgba = Image.open(saved(tmp_path / "a.png", "RGBA"))
    np.testing.assert_array_equal(input_pixels(rgba, "RGB", 4), np.asarray(rgba))
    with pytest.raises(ValueError, match="has 3 channels, but the model takes 1"):
        input_pixels(Image.fromarray(PIXELS), "RGB", 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("https://example.org/a.jpg", r"address \(URL\).*download it first"),
        (Path("http://example.org/a.jpg"), r"address \(URL\)"),
        ("s3://bucket/a.jpg", r"address \(URL\)"),
        ("data:image/png;base64,iVBORw0KGgo", "data URI"),
        ("/", "is a folder"),
        ("", "an empty text"),
        (None, "imread returns that"),
        (b"\xff\xd8\xff", "path of the file"),
        ([BLUE_FIRST], "batch_predict takes a list"),
        (io.BytesIO(b""), "open file"),
        (torch.zeros(3, 20, 30), "torch.Tensor; give an array"),
        (3, "of type int; give a path"),
        (BLUE_FIRST / 255, r"float64 values from 0 to 1.*times 255"),
        ((BLUE_FIRST / 255 - 0.5) / 0.2, "float64 values from -2.5 to 2.5"),
        (np.full((20, 30, 3), np.nan, np.float32), "NaN or infinite"),
        (np.where(PIXELS > 9, np.inf, 0.0), "NaN or infinite"),
        (PIXELS > 99, "dtype bool; multiply by 255"),
        (PIXELS.astype(complex), "dtype complex128"),
        (PIXELS.astype(object), "dtype object"),
        (PIXELS.transpose(2, 0, 1), r"channels come last: transpose\(1, 2, 0\)"),
        (PIXELS[None], r"shape \(H, W\).*batch_predict"),
        (PIXELS.astype(np.int64) * 300, "int64 values from 0 to 76500"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_what_is_no_picture_says_what_to_give(given, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        input_pixels(given, "RGB")


@pytest.mark.parametrize("kind", ["<u2", ">u2", "int64", "float32", "float64"])
def test_numbers_of_other_types_are_the_same_picture(kind):
    scale = 257 if kind.endswith("u2") else 1
    found = input_pixels(BLUE_FIRST.astype(kind) * np.array(scale, kind), "RGB")
    np.testing.assert_array_equal(found, PIXELS)


def test_a_damaged_pillow_picture(tmp_path):
    path = saved(tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="Pillow picture cannot be read"):
        input_pixels(Image.open(path), "RGB")


def test_values_are_judged_by_the_range_of_normalize():
    small = transforms.Compose([transforms.Normalize(max_val=[1.0] * 3)])
    np.testing.assert_allclose(
        TestMapper(small, "RGB", 3).pixels(BLUE_FIRST / 255), PIXELS / 255, rtol=1e-6
    )
    with pytest.raises(ValueError, match=r"has 8 bits, .* takes a range of 1"):
        TestMapper(small, "RGB", 3).pixels(BLUE_FIRST)
    wide = TestMapper(transforms.Compose([transforms.Normalize(max_val=[4095.0] * 3)]), "RGB", 3)
    assert wide.pixels(BLUE_FIRST.astype(np.int32) * 16).max() == 4080
    with pytest.raises(ValueError, match="NaN"):
        wide.pixels(np.full((4, 4), np.nan))
