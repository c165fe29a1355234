"""Every depth of a TIFF: true values everywhere, or a refusal that names it everywhere."""

import cv2
import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data.image_headers import read_header
from paddlex_maskrcnn.data.images import decode_picture, read_image
from paddlex_maskrcnn.data.tiff import first_page
from support.tiff_files import write_tiff

COLOUR = np.random.default_rng(0).integers(2, 100, (20, 30, 3))
DEPTHS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["grey", "colour"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_values_are_those_of_the_file(tmp_path, depth, kind, order):
    pixels = (COLOUR[:, :, 0] if kind == "grey" else COLOUR).astype(depth)
    path = write_tiff(tmp_path / "a.tif", pixels, order=order)
    expected = np.repeat(pixels[:, :, None], 3, axis=2) if kind == "grey" else pixels
    read = read_image(path, "RGB", keep_values=True)
    assert read.dtype == (np.uint8 if depth == "uint8" else np.float32)
    np.testing.assert_array_equal(read, expected)
    assert read_header(path).upright == (20, 30)
    with open(path, "rb") as file:
        page = first_page(file)
    assert (page.depth, page.samples, page.num_pages) == (
        depth,
        expected.shape[2] if kind == "colour" else 1,
        1,
    )


@pytest.mark.parametrize("depth", ["float32", "int32", "uint16"])
def test_grey_stays_one_channel_and_upright(tmp_path, depth):
    """OpenCV turns TIFFs itself, of every depth."""
    pixels = COLOUR[:, :, 0].astype(depth)
    path = write_tiff(tmp_path / "a.tif", pixels, more={274: 6})
    read = read_image(path, "RGB", 1, keep_values=True)
    np.testing.assert_array_equal(read[:, :, 0], np.rot90(pixels, -1))
    assert read_header(path).upright == (30, 20)


@pytest.mark.parametrize(
    ("depth", "factor", "fragment"),
    [
        ("float32", 0.008, r"float32 values from 0\.016 to 0\.792"),
        ("float64", -0.01, r"float64 values from -0\.99"),
        ("int16", -1, "int16 values from -99 to -2"),
        ("int32", 800, "int32 values from 1600 to 79200"),
        ("uint32", 800, "uint32 values from 1600 to 79200"),
    ],
)
def test_what_are_no_pixels_of_8_bits_is_refused_by_depth_and_range(
    tmp_path, depth, factor, fragment
):
    path = write_tiff(tmp_path / "a.tif", (COLOUR * factor).astype(depth))
    with pytest.raises(ValueError, match=rf"a\.tif' has {fragment}.*Normalize the range"):
        read_image(path, "RGB")
    np.testing.assert_allclose(
        read_image(path, "RGB", keep_values=True), (COLOUR * factor).astype(depth), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("write", "fragment"),
    [
        (lambda p: write_tiff(p, COLOUR.astype(np.float16)), "float16"),
        (lambda p: write_tiff(p, COLOUR.astype(np.uint16), planar=True), "uint16 .* separate planes"),
        (lambda p: write_tiff(p, COLOUR.astype(np.float32), planar=True), "float32 .* separate planes"),
        (lambda p: write_tiff(p, np.zeros((8, 8, 5), np.uint16)), "5 samples a pixel"),
        (lambda p: write_tiff(p, COLOUR.astype(np.uint8), more={262: 8}), "CIELAB"),
    ],
)  # fmt: skip
def test_what_would_be_read_wrong_is_refused_by_header_and_pixels(tmp_path, write, fragment):
    """OpenCV returns planes as neighbouring pixels, and colours of other lightness for CIELAB."""
    path = write(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=fragment):
        read_header(path)
    with pytest.raises(ValueError, match=f"cannot be decoded: .*{fragment}"):
        read_image(path, "RGB")
    assert decode_picture(np.fromfile(path, np.uint8), 3)[0] is None


def test_planes_of_8_bits_are_read(tmp_path):
    path = write_tiff(tmp_path / "a.tif", COLOUR.astype(np.uint8), planar=True)
    np.testing.assert_array_equal(read_image(path, "RGB"), COLOUR)


def test_twelve_packed_bits(tmp_path):
    values = (COLOUR[:, :, 0] * 40).astype(np.uint16)  # up to 3960 of 4095
    path = write_tiff(tmp_path / "a.tif", values, packed_bits=12)
    np.testing.assert_array_equal(read_image(path, "RGB", keep_values=True)[:, :, 0], values)
    eight = read_image(path, "RGB")[:, :, 0]
    np.testing.assert_allclose(eight, values * (255 / 4095), atol=1)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr"])
def test_8_bits_of_every_colour_space(tmp_path, mode):
    picture = Image.fromarray(COLOUR.astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "a.tif")
    expected = np.asarray(picture.convert("RGB")).astype(int)
    assert abs(read_image(tmp_path / "a.tif", "RGB") - expected).max() <= 1


def test_further_pages_count_but_previews_do_not(tmp_path):
    pages = [Image.fromarray(COLOUR[:, :, k].astype(np.uint8)) for k in range(3)]
    pages[0].save(tmp_path / "many.tif", save_all=True, append_images=pages[1:])
    small = pages[1].resize((15, 10))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "preview.tif", save_all=True, append_images=[small])
    assert read_header(tmp_path / "many.tif").has_more
    assert not read_header(tmp_path / "preview.tif").has_more


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_damaged_directory_is_no_page(tmp_path):
    cv2.imwrite(str(tmp_path / "a.tif"), COLOUR.astype(np.uint8))
    data = (tmp_path / "a.tif").read_bytes()
    for cut in (4, 8, 20):
        (tmp_path / "b.tif").write_bytes(data[:cut])
        with open(tmp_path / "b.tif", "rb") as file:
            assert first_page(file) is None
        with pytest.raises(ValueError, match=r"damaged|not a picture"):
            read_header(tmp_path / "b.tif")


def test_opencv_says_nothing_beside_our_errors(tmp_path, capfd):
    """It does not make grey floats coloured and says so, although another way to decode them succeeds."""
    Image.fromarray(np.full((8, 9), 7.5, np.float32)).save(tmp_path / "a.tif")
    assert (read_image(tmp_path / "a.tif", "RGB") == 7.5).all()
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 200)
    with pytest.raises(ValueError, match="cannot be decoded"):
        read_image(tmp_path / "b.png", "RGB")
    assert capfd.readouterr().err == ""
