"""What is read without Pillow is what Pillow reads."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from paddlex_maskrcnn.data.image_headers import read_header
from paddlex_maskrcnn.data.plain_headers import HEAD, plain_size

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def encoded(kind="JPEG", pixels=PIXELS, mode=None, **options):
    file = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(file, kind, **options)
    return file.getvalue()


def with_orientation():
    exif = Image.Exif()
    exif[274] = 6
    return exif


def text(**words):
    info = PngImagePlugin.PngInfo()
    for key, value in words.items():
        info.add_text(key, value)
    return info


PLAIN = {
    "jpeg": encoded(),
    "progressive": encoded(progressive=True),
    "optimised": encoded(optimize=True, quality=30),
    "grey jpeg": encoded(mode="L"),
    "CMYK": encoded(mode="CMYK"),
    "profile": encoded(icc_profile=b"x" * 3000),
    "comment": encoded(comment=b"words"),
    "png": encoded("PNG"),
    "grey png": encoded("PNG", mode="L"),
    "alpha": encoded("PNG", mode="RGBA"),
    "palette": encoded("PNG", mode="P"),
    "16 bits": encoded("PNG", pixels=PIXELS[:, :, 0].astype(np.uint16) * 200),
    "dpi and text": encoded("PNG", dpi=(72, 72), pnginfo=text(Author="somebody")),
}
LEFT_TO_PILLOW = {
    "jpeg with EXIF": encoded(exif=with_orientation()),
    "png with EXIF": encoded("PNG", exif=with_orientation()),
    "jpeg with XMP": encoded(xmp=b"<x:xmpmeta tiff:Orientation='6'/>"),
    "long profile": encoded(icc_profile=b"x" * 20_000),
    "several in one": encoded("MPO", save_all=True, append_images=[Image.fromarray(PIXELS)]),
    "webp": encoded("WEBP"),
    "nothing": b"",
    "a start alone": PLAIN["jpeg"][:100],
    "IHDR with a wrong checksum": PLAIN["png"][:20] + b"\1" + PLAIN["png"][21:],
    "tables of a wrong length": PLAIN["jpeg"].replace(b"\xff\xdb\0\x43", b"\xff\xdb\0\x42", 1),
}


@pytest.mark.parametrize("name", PLAIN)
def test_ordinary_files(name, tmp_path):
    assert plain_size(PLAIN[name][:HEAD]) == (40, 60)
    path = tmp_path / ("a.jpg" if PLAIN[name].startswith(b"\xff") else "a.png")
    path.write_bytes(PLAIN[name])
    header = read_header(path)
    assert header.upright == header.stored == (40, 60)


@pytest.mark.parametrize("name", LEFT_TO_PILLOW)
def test_everything_else_is_left_to_pillow(name):
    assert plain_size(LEFT_TO_PILLOW[name][:HEAD]) is None


@pytest.mark.parametrize("height", [0, 2**14])
def test_sizes_that_need_a_second_look(height):
    """No pixels at all, and more than anybody would decode without asking."""
    header = b"IHDR" + (2**14).to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\2\0\0\0"
    chunk = b"\0\0\0\x0d" + header + zlib.crc32(header).to_bytes(4, "big")
    assert plain_size(PLAIN["png"][:8] + chunk + PLAIN["png"][33:]) is None


@pytest.mark.parametrize("name", ["jpeg", "png", "palette", "progressive"])
def test_spoiled_files_are_judged_as_pillow_does(name):
    """Bytes of the head overwritten at random: a size only where Pillow gives the same."""
    rng = np.random.default_rng(0)
    is_png = PLAIN[name].startswith(b"\x89")
    first_pixels = PLAIN[name].find(b"IDAT" if is_png else b"\xff\xda")
    said = 0
    for _ in range(300):
        data = bytearray(PLAIN[name])
        for place in rng.integers(0, first_pixels, rng.integers(1, 4)):
            data[place] = rng.integers(256)
        found = plain_size(bytes(data[:HEAD]))
        if found is None:
            continue
        said += 1
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == found[::-1]
            assert "exif" not in picture.info
    assert said > (0 if is_png else 200)


def test_a_plain_file_without_its_end_is_cut_off(tmp_path):
    (tmp_path / "a.jpg").write_bytes(PLAIN["jpeg"][:-20])
    with pytest.raises(ValueError, match="cut off"):
        read_header(tmp_path / "a.jpg")
