"""What the soak of `serve` sends and sums up; the run itself is minutes."""

import io
import random

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image
from serve_soak import LEFT, Record, huge_png, kinds, leave, pictures, slope


def test_slope():
    """The first third, when buffers and caches fill, does not count."""
    samples = [(k, 500.0 - k if k < 100 else 400 + 0.002 * k) for k in range(0, 300, 10)]
    assert slope(samples) == pytest.approx(2)
    assert np.isnan(slope([(5, 1.0)] * 9))


def test_answers_are_counted_and_wrong_ones_listed():
    record = Record()
    record.add("picture", 200, True, "")
    record.add("picture", 500, False, "status 500")
    assert record.requests == 2
    assert record.unexpected == ["picture: status 500"]


def test_pictures_are_what_they_should_be():
    assert all(cv2.imdecode(np.frombuffer(data, np.uint8), 1) is not None for data in pictures())
    with pytest.raises(Image.DecompressionBombError, match="3000000000 pixels"):
        Image.open(io.BytesIO(huge_png()))


def test_every_kind_is_sent():
    """To a service that only says what it was asked."""
    asked = []

    def answer(request):
        asked.append((request.url.path, request.headers["host"]))
        return httpx.Response(200)

    client = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(answer))
    for kind in kinds(pictures()).values():
        if kind.send is not leave:
            assert kind.send(client, random.Random(0)) == 200
            assert LEFT not in kind.statuses
    assert ("/nothing", "127.0.0.1:1") in asked
    assert ("/predict", "evil.example.org") in asked
