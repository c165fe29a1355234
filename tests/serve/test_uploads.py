"""Uploaded bytes to pixels: equal to reading a file, for any number of channels; nothing too large."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data.images import as_image, read_image
from paddlex_maskrcnn.serve import uploads
from paddlex_maskrcnn.serve.messages import RefusalError
from paddlex_maskrcnn.serve.uploads import announced_sizes, read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 6), dtype=np.uint8)
DEEP = PIXELS.astype(np.uint16) * 200


def encoded(pixels, suffix=".png"):
    return cv2.imencode(suffix, pixels)[1].tobytes()


def pages(arrays):
    done, data = cv2.imencodemulti(".tif", list(arrays))
    assert done
    return data.tobytes()


def saved(kind, mode, pixels=PIXELS, **options):
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, :3]).convert(mode).save(file, kind, **options)
    return file.getvalue()


FILES = {
    (1, "grey.png"): encoded(PIXELS[:, :, 0]),
    (1, "grey16.png"): encoded(DEEP[:, :, 0]),
    (1, "grey.jpg"): encoded(PIXELS[:, :, 0], ".jpg"),
    (2, "la.png"): saved("PNG", "LA"),
    (2, "two.tif"): pages([PIXELS[:, :, 0], PIXELS[:, :, 1]]),
    (3, "bgr.png"): encoded(PIXELS[:, :, :3]),
    (3, "bgr16.tif"): encoded(DEEP[:, :, :3], ".tif"),
    (4, "bgra.png"): encoded(PIXELS[:, :, :4]),
    (4, "bgra16.png"): encoded(DEEP[:, :, :4]),
    (4, "rgba.tif"): saved("TIFF", "RGBA"),
    (4, "alpha.webp"): encoded(PIXELS[:, :, :4], ".webp"),
    (5, "five.tif"): pages([DEEP[:, :, place] for place in range(5)]),
    (6, "six.tif"): pages([PIXELS[:, :, place] for place in range(6)]),
}


@pytest.mark.parametrize(("channels", "name"), FILES)
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_equals_reading_the_file(tmp_path, channels, name, order):
    """After `as_image`, which `predict` puts arrays through."""
    (tmp_path / name).write_bytes(FILES[channels, name])
    for keep in (False, True) if channels == 3 else (True,):
        expected = read_image(tmp_path / name, order, channels, keep_values=keep)
        read = read_picture(FILES[channels, name], channels, 10**6, keep)
        found = as_image(read, order, channels, keep)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    height, width = next(iter(announced_sizes(FILES[channels, name], channels)))
    assert (height, width) == expected.shape[:2]


@pytest.mark.parametrize(
    ("channels", "data", "fragment"),
    [
        (1, FILES[3, "bgr.png"], "has 3 channels, but the model takes 1"),
        (4, FILES[3, "bgr.png"], "has 3 channels, but the model takes 4"),
        (5, FILES[6, "six.tif"], "more than 5 pages, but the model takes 5 channels"),
        (6, FILES[5, "five.tif"], "channels, but the model takes 6"),
    ],
)
def test_other_numbers_of_channels(channels, data, fragment):
    with pytest.raises(RefusalError) as refusal:
        read_picture(data, channels, 10**6)
    assert refusal.value.status == 422
    assert fragment in refusal.value.sentence


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
def test_too_many_pixels_are_never_decoded(monkeypatch, suffix):
    data = encoded(np.zeros((50, 60, 3), np.uint8), suffix)
    assert read_picture(data, 3, 3000).shape == (50, 60, 3)
    monkeypatch.setattr(uploads.images, "decode", None)
    with pytest.raises(RefusalError, match="60 x 50 pixels") as refusal:
        read_picture(data, 3, 2999)
    assert refusal.value.status == 413


def test_each_page_counts():
    """A small first page does not hide a large one from a model of several channels."""
    data = pages([np.zeros((4, 4), np.uint8), np.zeros((400, 500), np.uint8)])
    with pytest.raises(RefusalError, match="500 x 400 pixels"):
        read_picture(data, 2, 10**4)


def test_pages_that_run_in_a_circle():
    data = bytearray(pages([np.zeros((4, 4), np.uint8)] * 2))
    start = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[start : start + 2], "little")
    after = start + 2 + 12 * entries
    data[after : after + 4] = data[4:8]  # the next page is the first one
    with pytest.raises(RefusalError, match="more than 4 pages"):
        read_picture(bytes(data), 4, 10**4)


def test_a_chunk_that_claims_gigabytes(monkeypatch):
    data = bytearray(FILES[3, "bgr.png"])
    place = data.index(b"IDAT")
    data[place - 4 : place] = b"\xff\xff\xff\xff"
    monkeypatch.setattr(uploads.images, "decode", None)
    with pytest.raises(RefusalError, match="cut off"):
        read_picture(bytes(data), 3, 10**6)
    behind = FILES[3, "bgr.png"] + b"\xff" * 20
    monkeypatch.undo()
    assert read_picture(behind, 3, 10**6).shape == (20, 30, 3)


def test_a_damaged_second_page():
    """OpenCV raises for what it returns None of in a first page."""
    data = bytearray(pages([PIXELS[:, :, 0]] * 2))
    first = int.from_bytes(data[4:8], "little")
    after = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    second = int.from_bytes(data[after : after + 4], "little")
    photometric = data.index((262).to_bytes(2, "little"), second)
    data[photometric : photometric + 2] = (61000).to_bytes(2, "little")
    with pytest.raises(RefusalError, match="damaged"):
        read_picture(bytes(data), 2, 10**6)
