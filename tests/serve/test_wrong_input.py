"""Whatever is sent: a 4xx with one sentence, and the next good request works."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
JPEG = cv2.imencode(".jpg", NOISE)[1].tobytes()


def png_that_claims(width, height):
    """A few bytes whose header announces so many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def gif():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "GIF")
    return file.getvalue()


def encoded_tiff(pixels):
    return cv2.imencode(".tif", pixels)[1].tobytes()


@pytest.fixture
def good(post, photo):
    """Afterwards a good request must work."""
    yield
    answer = post(photo)
    assert answer.status_code == 200
    assert answer.json()["objects"]


def refused(answer, status, *fragments):
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert isinstance(detail, str)
    assert "\n" not in detail
    for fragment in fragments:
        assert fragment in detail
    return detail


CASES = {
    "nothing": (b"", 400, "empty"),
    "text": (b"hello " * 10, 415, "not an image"),
    "zeros": (bytes(1000), 415, "JPEG, PNG, WEBP, TIFF, BMP"),
    "html": (b"<html><body>404</body></html>", 415, "not an image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not an image"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", 415, "Git LFS pointer"),
    "float tiff": (encoded_tiff(NOISE / np.float32(255)), 422, "float32 values from 0 to 1"),
    "nan tiff": (encoded_tiff(NOISE * np.float32(np.nan)), 422, "NaN"),
    "deep tiff": (encoded_tiff(NOISE.astype(np.int32) * 300), 422, "int32 values"),
    "another format": (gif(), 415, "JPEG, PNG"),
    "numpy": (b"\x93NUMPY\x01\x00" + bytes(100), 415, "not an image"),
    "jpeg start only": (JPEG[:20], 415, "not an image"),
    "jpeg header": (JPEG[:200], 422, "damaged"),
    "jpeg half": (JPEG[: len(JPEG) // 2], 422, "cut off"),
    "jpeg without end": (JPEG[:-2], 422, "cut off"),
    "huge png": (png_that_claims(60000, 50000), 413, "pixels"),
    "large png": (png_that_claims(8000, 7000), 413, "8000 x 7000", "more than the 50000000"),
    "no pixels": (png_that_claims(100, 100), 422, "cannot be decoded"),
    "broken tiff": (b"II*\0" + bytes(200), 422, "damaged"),
    "tiff far away": (b"II*\0\xff\xff\xff\x7f", 422, "damaged"),
}


@pytest.mark.parametrize("case", CASES)
def test_no_image(post, good, case):
    data, status, *fragments = CASES[case]
    refused(post(data), status, *fragments)


@pytest.mark.parametrize("kind", [".jpg", ".png", ".tif", ".webp", ".bmp"])
def test_cut_and_damaged_files(post, good, monkeypatch, served_model, kind):
    """Never a 5xx; a JPEG or PNG that is cut is always told."""
    monkeypatch.setattr(served_model, "batch_predict", lambda images, **_: [[] for _ in images])
    whole = cv2.imencode(kind, NOISE)[1].tobytes()
    generator = np.random.default_rng(1)
    for place in generator.integers(1, len(whole) - 2, 30):
        answer = post(whole[:place], mask_format="none")
        if kind in (".jpg", ".png"):
            assert 400 <= answer.status_code < 500, place
        assert answer.status_code in (200, 413, 415, 422), (place, answer.text)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in generator.integers(0, min(len(whole), 300), 4):
            damaged[place] = generator.integers(256)
        answer = post(bytes(damaged), mask_format="none")
        assert answer.status_code in (200, 413, 415, 422), answer.text
    monkeypatch.undo()


def test_random_bytes(post, good):
    generator = np.random.default_rng(0)
    starts = [b"", JPEG[:4], b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"MM\0*", b"BM", b"RIFF"]
    for start in starts:
        for size in (1, 10, 500, 5000):
            answer = post(start + generator.bytes(size))
            assert answer.status_code in (413, 415, 422), (start, size, answer.text)


OPTIONS = {
    "score_threshold=abc": "score_threshold is 'abc'; allowed: 0 to 1",
    "score_threshold=2": "score_threshold is '2'; allowed: 0 to 1",
    "score_threshold=nan": "score_threshold is 'nan'; allowed: 0 to 1",
    "score_threshold=0.01": "this model drops everything below 0.1",
    "mask_format=dense": "mask_format is 'dense'; allowed: rle, polygon or none",
    "tile=12": "tile is (12, 12); allowed: pixels >= 16",
    "tile=big": "tile is 'big'; allowed: pixels >= 16, one number or HEIGHTxWIDTH",
    "overlap=1": "overlap is '1'; allowed: above 0 and below 1",
    "tile=16&overlap=0.9": "tiles of this image, more than the 100",
    "score_treshold=0.5": "did you mean score_threshold?",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options(shared_client, good, photo, option):
    answer = shared_client.post(f"/predict?{option}", content=photo)
    refused(answer, 413 if "overlap=0.9" in option else 422, OPTIONS[option])


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "video/mp4"])
def test_content_types(shared_client, good, photo, kind):
    answer = shared_client.post("/predict", content=photo, headers={"Content-Type": kind})
    refused(answer, 415, kind, "image/jpeg", "'file'")


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "image/jpeg; x=1", None])
def test_raw_bodies(shared_client, photo, kind):
    """What counts is the bytes."""
    headers = {"Content-Type": kind} if kind else {}
    assert shared_client.post("/predict", content=photo, headers=headers).status_code == 200


def test_compressed_bodies(shared_client, good, photo):
    headers = {"Content-Encoding": "gzip"}
    refused(shared_client.post("/predict", content=photo, headers=headers), 415, "compressed")


def test_a_form(shared_client, photo):
    answer = shared_client.post("/predict", files={"file": ("photo.png", photo, "image/png")})
    raw = shared_client.post("/predict", content=photo)
    assert answer.json()["objects"] == raw.json()["objects"]


FORMS = {
    "another name": ({"files": {"image": b"x"}}, "no file in a field 'file'"),
    "no file": ({"files": {"file": (None, b"x")}}, "no file in a field 'file'"),
    "an option": (
        {"files": {"file": b"x"}, "data": {"score_threshold": "1"}},
        "'score_threshold'; it takes the image only",
    ),
    "two files": ({"files": [("file", b"x"), ("file", b"y")]}, "cannot be read: Too many files"),
    "empty file": ({"files": {"file": b""}}, "empty"),
    "no boundary": (
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        "Missing boundary",
    ),
    "broken": (
        {"content": b"abc", "headers": {"Content-Type": "multipart/form-data; boundary=--x"}},
        "form",
    ),
    "nothing": (
        {"content": b"", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        "form",
    ),
}


@pytest.mark.parametrize("case", FORMS)
def test_wrong_forms(shared_client, good, case):
    arguments, fragment = FORMS[case]
    refused(shared_client.post("/predict", **arguments), 400, fragment)


def test_uploads_above_the_limit(connect, photo):
    """The announced length is enough to be refused; without one, reading ends at the limit."""
    client = connect(max_image_mb=len(photo) / 2**20)
    taken = []

    def pieces():
        for _ in range(100):
            taken.append(1)
            yield photo

    assert client.post("/predict", content=photo).status_code == 200
    refused(client.post("/predict", content=photo + b"x"), 413, "larger than")
    refused(client.post("/predict", content=pieces()), 413, "larger than")
    assert client.post("/predict", files={"file": photo}).status_code == 200
    refused(client.post("/predict", files={"file": photo + b"x"}), 413, "larger than")
    refused(client.post("/predict", files={"file": photo * 100}), 413, "larger than")


def test_long_and_narrow_images(connect, monkeypatch, served_model):
    """Without a largest size `ResizeByShort` would make gigapixels of a few bytes."""
    from paddlex_maskrcnn.det import transforms

    endless = transforms.Compose([transforms.ResizeByShort(64, -1)])
    monkeypatch.setattr(served_model.network.card, "transforms", endless.to_config())
    client = connect(max_pixels=2**20)
    line = cv2.imencode(".png", np.zeros((1, 5000, 3), np.uint8))[1].tobytes()
    refused(client.post("/predict", content=line), 413, "320000 x 64 pixels", "long and narrow")
    small = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    assert client.post("/predict", content=small).status_code == 200


def test_images_larger_than_the_model_pads(connect, monkeypatch, served_model):
    from paddlex_maskrcnn.det import transforms

    padding = transforms.Compose([transforms.Padding(target_size=32)])
    monkeypatch.setattr(served_model.network.card, "transforms", padding.to_config())
    client = connect()
    refused(client.post("/predict", content=JPEG), 422, "target_size")
    assert client.post("/predict?tile=32", content=JPEG).status_code == 200


def test_unknown_addresses(shared_client, good):
    refused(shared_client.get("/nothing"), 404)
    refused(shared_client.get("/predict"), 405)
