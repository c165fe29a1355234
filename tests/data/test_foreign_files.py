"""What is no picture is called by its name, with what to do about it, wherever a picture is read."""

import numpy as np
import pytest

from paddlex_maskrcnn.data.foreign_files import described
from paddlex_maskrcnn.data.image_headers import read_header
from paddlex_maskrcnn.data.images import read_image

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
FILES = {
    "empty": (b"", "the file is empty"),
    "zeros": (bytes(5000), "only zero bytes"),
    "lfs": (LFS, "Git LFS pointer.*git lfs pull"),
    "html": (b"\n<!DOCTYPE html><html><body>404", "web page"),
    "bom html": (b"\xef\xbb\xbf<html>", "web page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
    "json": (b'{"message": "Not Found"}', "JSON"),
    "text": ("größer".encode() * 400, "text that begins with 'größer"),
    "wide text": ("not found".encode("utf-16"), "text that begins with 'not found'"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(range(200)), "HEIC.*convert it to JPEG"),
    "video": (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(range(200)), "video"),
    "pdf": (b"%PDF-1.7\n", "PDF"),
    "zip": (b"PK\x03\x04" + bytes(range(100)), "zip archive"),
    "dicom": (bytes(128) + b"DICM" + bytes(range(50)), "DICOM"),
}


@pytest.mark.parametrize("name", FILES)
def test_named_by_header_and_pixels(tmp_path, name):
    data, words = FILES[name]
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for read in (read_header, lambda p: read_image(p, "RGB")):
        with pytest.raises(ValueError, match=f"(?s){words}"):
            read(path)


@pytest.mark.parametrize("name", ["lfs", "html", "zip"])
def test_named_under_the_suffix_of_an_array(tmp_path, name):
    (tmp_path / "a.npy").write_bytes(FILES[name][0])
    with pytest.raises(ValueError, match=f"not a NumPy array: .*{FILES[name][1]}"):
        read_header(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "start", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF", bytes(range(128, 256))]
)
def test_pictures_and_noise_are_not_named(start):
    noise = np.random.default_rng(0).integers(0, 256, 900, np.uint8).tobytes()
    assert described(start + noise) == ""
