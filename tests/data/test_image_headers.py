"""What is known of a picture before it is decoded."""

import base64
import io
import json
import os
import zlib

import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data import images
from paddlex_maskrcnn.data.image_headers import Header, is_cut_off, read_header
from paddlex_maskrcnn.data.images import read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def rotated(path, orientation=6, **options):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(PIXELS).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_sizes(tmp_path, suffix, orientation):
    header = read_header(rotated(tmp_path / f"a.{suffix}", orientation))
    assert header.stored == (40, 60)
    assert header.upright == ((60, 40) if orientation >= 5 else (40, 60))
    assert header.fits((40, 60))
    assert header.fits((60, 40)) == (orientation >= 5)


@pytest.mark.parametrize("orientation", range(5, 9))
def test_pixels_of_the_size_that_is_asked_for(tmp_path, orientation):
    """As stored only where nothing else has that size; every other size is the caller's problem."""
    path = rotated(tmp_path / "a.png", orientation)
    np.testing.assert_array_equal(read_image(path, "RGB", 3, (40, 60)), PIXELS)
    upright = read_image(path, "RGB")
    assert upright.shape == (60, 40, 3)
    for size in ((60, 40), (7, 8), None):
        np.testing.assert_array_equal(read_image(path, "RGB", 3, size), upright)


def test_square_photographs_are_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PIXELS[:, :40]).save(tmp_path / "a.png", exif=exif)
    expected = np.rot90(PIXELS[:, :40], -1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", "RGB", 3, (40, 40)), expected)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.999])
def test_files_that_are_cut_off(tmp_path, suffix, part):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ValueError, match="cut off"):
        read_header(path)
    with pytest.raises(ValueError, match=rf"a\.{suffix}' cannot be decoded"):
        read_image(path, "RGB")


def test_a_chunk_that_claims_gigabytes_is_never_decoded(tmp_path, monkeypatch):
    """OpenCV 5 takes memory for the length that a PNG's chunk claims."""
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    data = bytearray(path.read_bytes())
    assert not is_cut_off(np.frombuffer(data, np.uint8))
    place = data.index(b"IDAT")
    data[place - 4 : place] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    monkeypatch.setattr(images, "decode", None)
    with pytest.raises(ValueError, match="cut off"):
        read_image(path, "RGB")


def test_a_thumbnail_s_end_is_not_the_picture_s(tmp_path):
    thumbnail = io.BytesIO()
    Image.fromarray(PIXELS[:8, :8]).save(thumbnail, "JPEG")
    exif = b"Exif\0\0" + thumbnail.getvalue()
    path = tmp_path / "a.jpg"
    Image.fromarray(np.tile(PIXELS, (8, 8, 1))).save(path, exif=exif, quality=95)
    whole = path.read_bytes()
    assert read_header(path).stored == (320, 480)
    path.write_bytes(whole[:-2000])
    with pytest.raises(ValueError, match="cut off"):
        read_header(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("more", [b"\0" * 10, b"\0" * 100_000])
def test_something_behind_the_end_is_no_harm(tmp_path, suffix, more):
    """Cameras put videos and second pictures there."""
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    path.write_bytes(path.read_bytes() + more)
    assert read_header(path) == Header((40, 60), (40, 60))
    assert read_image(path, "RGB").shape == PIXELS.shape


@pytest.mark.parametrize("side", [500, 16_000, 100_000])
def test_headers_that_promise_too_much(tmp_path, side):
    def chunk(name, data):
        check = zlib.crc32(name + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + name + data + check

    sides = side.to_bytes(4, "big") * 2
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sides + b"\x08\x02\0\0\0")
    (tmp_path / "a.png").write_bytes(
        data + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match=r"cut it into tiles|is cut off"):
        read_header(tmp_path / "a.png")
    with pytest.raises(ValueError, match="is cut off"):
        read_image(tmp_path / "a.png", "RGB")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name in ("pipe", "folder"):
        with pytest.raises(ValueError, match="not a file"):
            read_header(tmp_path / f"{name}.jpg")
    with pytest.raises(OSError, match="symbolic links"):
        read_header(tmp_path / "loop.jpg")


def test_pictures_inside_labelme_files(tmp_path):
    path = rotated(tmp_path / "a.png")
    content = {"imageData": base64.b64encode(path.read_bytes()).decode()}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert read_header(tmp_path / "a.json") == Header((60, 40), (40, 60))
    np.testing.assert_array_equal(read_image(tmp_path / "a.json", "RGB"), read_image(path, "RGB"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"imageData": 3}', '{"imageData": "%%%"}'])
def test_json_without_a_picture(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"no picture in its imageData|not a picture"):
        read_header(tmp_path / "a.json")
    with pytest.raises(ValueError):  # noqa: PT011
        read_image(tmp_path / "a.json", "RGB")


def npy(path, descr, shape, data=b"", version=b"\x01\x00", fortran=False):
    """An NPY file whose header may say anything."""
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}\n".encode()
    path.write_bytes(b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data)
    return path


HOSTILE = {
    "negative": (("'|u1'", "(-4, 5)", bytes(20)), "not a NumPy array"),
    "negative product": (("'|u1'", "(-4, -5)", bytes(20)), "NumPy array|shape"),
    "huge": (("'<f8'", "(1048576, 1048576)", bytes(20)), "not a NumPy array"),
    "overflowing": (("'<f8'", "(9223372036854775807, 9)", bytes(20)), "not a NumPy array"),
    "wrapped": (("'|u1'", "(8589934592, 2147483648)", bytes(20)), "not a NumPy array"),
    "cut off": (("'|u1'", "(4, 5)", bytes(19)), "not a NumPy array"),
    "no numbers": (("'|O'", "(2, 2)", bytes(32)), "not a NumPy array"),
    "fields": (("[('a', '<f4'), ('b', '<f4')]", "(2, 2)", bytes(32)), "not numbers of a picture"),
    "complex": (("'<c8'", "(2, 2)", bytes(32)), "holds complex64"),
    "truth values": (("'|b1'", "(2, 2)", bytes(4)), "holds bool"),
    "texts": (("'<U2'", "(2, 2)", bytes(32)), "not numbers of a picture"),
    "times": (("'<M8[s]'", "(2, 2)", bytes(32)), "not numbers of a picture"),
    "no type": (("'huh'", "(2, 2)", bytes(32)), "not a NumPy array"),
    "texts for sides": (("'|u1'", "('a', 'b')", bytes(32)), "not a NumPy array"),
    "fractions": (("'|u1'", "(2.0, 2.0)", bytes(32)), "not a NumPy array"),
    "call": (("'|u1'", "(print('boo'),)", bytes(32)), "not a NumPy array"),
    "no axis": (("'|u1'", "()", bytes(1)), r"must have shape \(H, W"),
    "one axis": (("'|u1'", "(4,)", bytes(4)), r"must have shape \(H, W"),
    "nothing": (("'|u1'", "(0, 4)", b""), "NumPy array|must have shape"),
    "another version": (("'|u1'", "(2, 2)", bytes(4), b"\x09\x00"), "not a NumPy array"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_arrays_that_are_none(tmp_path, name):
    arguments, words = HOSTILE[name]
    path = npy(tmp_path / "a.npy", *arguments)
    for read in (read_header, lambda p: read_image(p, "RGB")):
        with pytest.raises(ValueError, match=rf"a\.npy.*({words})"):
            read(path)


def test_an_archive_by_the_name_of_an_array(tmp_path):
    np.savez(tmp_path / "a.npz", pixels=PIXELS)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="zip archive"):
        read_header(tmp_path / "a.npy")


def test_arrays_in_fortran_order_and_of_other_byte_order(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(PIXELS))
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy", "RGB"), PIXELS)
    np.save(tmp_path / "b.npy", PIXELS.astype(">u2") * 257)
    np.testing.assert_array_equal(read_image(tmp_path / "b.npy", "RGB"), PIXELS)


def test_a_picture_above_pillows_limit_keeps_its_orientation(tmp_path, monkeypatch):
    path = rotated(tmp_path / "a.png")
    expected = read_image(path, "RGB")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_header(path) == Header((60, 40), (40, 60))
    np.testing.assert_array_equal(read_image(path, "RGB"), expected)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_frames_after_the_first_are_known(tmp_path, suffix):
    frames = [Image.fromarray(np.roll(PIXELS, 9 * k, axis=1)) for k in range(2)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / f"b.{suffix}")
    assert read_header(tmp_path / f"b.{suffix}").has_more is False
    assert read_header(tmp_path / f"a.{suffix}").has_more is True


def test_a_format_that_only_pillow_knows(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.tga")
    with pytest.raises(ValueError, match="a TGA picture, which is not read: convert it"):
        read_header(tmp_path / "a.tga")


@pytest.mark.parametrize("mode", ["1", "L", "RGBA"])
def test_pixels_of_one_colour_are_not_missing(tmp_path, mode):
    """As small as a PNG gets."""
    Image.new(mode, (3000, 2000)).save(tmp_path / "a.png", compress_level=9)
    assert read_header(tmp_path / "a.png").upright == (2000, 3000)
    assert read_image(tmp_path / "a.png", "RGB").shape == (2000, 3000, 3)
