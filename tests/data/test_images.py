import cv2
import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data.image_headers import read_header
from paddlex_maskrcnn.data.images import as_image, read_image

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 30, 3), np.uint8)  # RGB


def test_colours_come_in_the_order_asked_for(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", "RGB"), PIXELS)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", "BGR"), PIXELS[:, :, ::-1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_exif_orientation_is_applied_to_pixels_and_size(tmp_path, orientation, suffix):
    """Pillow's own transposition is the reference; lossless formats make it exact."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path, exif=exif, lossless=True)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(read_image(path, "RGB"), expected)
    assert read_header(path).upright == expected.shape[:2]


@pytest.mark.parametrize("suffix", ["jpg", "tiff", "bmp"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_header_size_is_the_size_of_the_pixels(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path, exif=exif)
    assert read_header(path).upright == read_image(path, "RGB").shape[:2]


def test_grey_becomes_three_channels_and_alpha_goes(tmp_path):
    Image.fromarray(PIXELS[:, :, 0]).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([PIXELS, PIXELS[:, :, :1]])).save(tmp_path / "alpha.png")
    grey = read_image(tmp_path / "grey.png", "RGB")
    np.testing.assert_array_equal(grey, np.repeat(PIXELS[:, :, :1], 3, axis=2))
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png", "RGB"), PIXELS)


def test_sixteen_bits_are_scaled_for_three_channels_or_kept(tmp_path):
    levels = PIXELS[:, :, 0] % 200
    deep = levels.astype(np.uint16) * 257 + 100  # 100 is less than half a step
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    three = read_image(tmp_path / "deep.png", "RGB")
    one = read_image(tmp_path / "deep.png", "RGB", num_channels=1, keep_values=True)
    kept = read_image(tmp_path / "deep.png", "RGB", keep_values=True)
    assert three.dtype == np.uint8
    np.testing.assert_array_equal(three[:, :, 1], levels)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one[:, :, 0], deep)
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept, np.repeat(one, 3, axis=2))
    with pytest.raises(ValueError, match=r"uint16 values from 100 to .* Normalize the range"):
        read_image(tmp_path / "deep.png", "RGB", num_channels=1)


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_npy_keeps_its_channels(tmp_path, channels):
    array = RNG.integers(0, 256, (6, 7, channels), np.uint8)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy", "RGB", channels), array)
    assert read_header(tmp_path / "a.npy").upright == (6, 7)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_png_and_tiff_keep_alpha_as_a_channel(tmp_path, suffix, mode):
    """OpenCV alone would make four channels of two, and multiply a TIFF's colours by alpha."""
    array = RNG.integers(0, 256, (6, 7, len(mode)), np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(array).save(path)
    np.testing.assert_array_equal(read_image(path, "RGB", len(mode)), array)
    if mode == "RGBA":
        swapped = array[:, :, [2, 1, 0, 3]]
        np.testing.assert_array_equal(read_image(path, "BGR", 4), swapped)


def test_pages_of_a_tiff_are_channels(tmp_path):
    pages = [RNG.integers(0, 256, (6, 7), np.uint8) for _ in range(5)]
    cv2.imwritemulti(str(tmp_path / "a.tiff"), pages)
    read = read_image(tmp_path / "a.tiff", "RGB", num_channels=5)
    np.testing.assert_array_equal(read, np.dstack(pages))


def test_wrong_number_of_channels_names_file_and_both_numbers(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png' has 3 channels, but the model takes 4"):
        read_image(tmp_path / "a.png", "RGB", num_channels=4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"not a picture at all", "text that begins with 'not a picture at all'"),
        (b"\x89PNG\r\n\x1a\n", "not a picture, or damaged"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, data, reason):
    path = tmp_path / "broken.png"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"broken\.png' cannot be decoded: .*({reason}|cut off)"):
        read_image(path, "RGB")
    with pytest.raises(ValueError, match=reason):
        read_header(path)


def test_missing_file_is_named(tmp_path):
    for read in (lambda p: read_image(p, "RGB"), read_header):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            read(tmp_path / "nowhere.png")


def test_arrays_are_taken_as_bgr():
    bgr = PIXELS[:, :, ::-1]
    np.testing.assert_array_equal(as_image(bgr, "RGB"), PIXELS)
    np.testing.assert_array_equal(as_image(bgr, "BGR"), bgr)
    grey = as_image(PIXELS[:, :, 0], "RGB")
    np.testing.assert_array_equal(grey, np.repeat(PIXELS[:, :, :1], 3, axis=2))


@pytest.mark.parametrize(
    ("array", "fragment"),
    [
        (np.zeros((2, 3, 4, 3)), r"got \(2, 3, 4, 3\)"),
        (np.zeros((0, 3, 3), np.uint8), r"got \(0, 3, 3\)"),
        ("a.jpg", "got str"),
        (np.zeros((4, 4, 3), bool), "dtype bool"),
        (np.zeros((4, 4, 5), np.uint8), "has 5 channels, but the model takes 3"),
    ],
)
def test_arrays_that_are_no_images(array, fragment):
    with pytest.raises(ValueError, match=fragment):
        as_image(array, "RGB")


def test_unknown_order_of_colours():
    with pytest.raises(ValueError, match="'RGB' or 'BGR', got 'GBR'"):
        as_image(PIXELS, "GBR")
