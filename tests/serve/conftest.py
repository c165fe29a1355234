"""A service of an untrained network that finds objects in noise, without a socket."""

import time
from contextlib import ExitStack

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from paddlex_maskrcnn.data.datasets.drawn import draw_scene
from paddlex_maskrcnn.serve.app import create_app
from paddlex_maskrcnn.serve.limits import Limits
from support.untrained import load, save_untrained


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    return save_untrained(tmp_path_factory.mktemp("served") / "untrained")


@pytest.fixture(scope="session")
def served_model(model_dir):
    return load(model_dir)


@pytest.fixture
def connect(served_model):
    """A started service with other limits: a client of it."""
    with ExitStack() as stack:

        def connect(api_key=None, **limits):
            app = create_app(served_model, Limits(**limits), api_key)
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            until(lambda: client.get("/ready").status_code == 200)
            return client

        yield connect


@pytest.fixture(scope="session")
def shared_client(served_model):
    with TestClient(create_app(served_model), raise_server_exceptions=False) as client:
        until(lambda: client.get("/ready").status_code == 200)
        yield client


@pytest.fixture
def post(shared_client):
    """Bytes to the answer of /predict with the default limits."""

    def post(data, **query):
        return shared_client.post("/predict", content=data, params=query)

    return post


@pytest.fixture(scope="session")
def photo():
    """A drawn scene as PNG bytes."""
    return encoded(scene())


@pytest.fixture(name="until")
def waits_until():
    """Wait for a condition."""
    return until


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def scene(index=0, size=(64, 96)):
    return draw_scene(np.random.default_rng([1, index]), index, size)[0]


def encoded(pixels, suffix=".png"):
    return cv2.imencode(suffix, pixels)[1].tobytes()
