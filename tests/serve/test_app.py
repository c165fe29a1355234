"""Requests against each other, against the clock, and against failures."""

import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.serve.messages import Answer

SCENES = [np.random.default_rng(n).integers(0, 256, (48, 64, 3), np.uint8) for n in range(3)]
PHOTOS = [cv2.imencode(".png", scene)[1].tobytes() for scene in SCENES]


@pytest.fixture
def together():
    """Calls in threads."""
    with ThreadPoolExecutor(8) as pool:
        yield lambda *calls: [pool.submit(call) for call in calls]


class Slow:
    """`batch_predict` that goes on when it is told to."""

    def __init__(self, model, monkeypatch):
        self.predict, self.sizes = model.batch_predict, []
        self.began, self.allowed = threading.Event(), threading.Event()
        monkeypatch.setattr(model, "batch_predict", self)

    def __call__(self, images, **options):
        self.sizes.append(len(images))
        self.began.set()
        assert self.allowed.wait(20)
        return self.predict(images, **options)


@pytest.fixture
def slow(served_model, monkeypatch):
    slow = Slow(served_model, monkeypatch)
    yield slow
    slow.allowed.set()


def objects(answer):
    assert answer.status_code == 200, answer.text
    return [(one["category"], one["bbox"]) for one in answer.json()["objects"]]


def test_requests_at_once_share_a_run(connect, slow, together, until):
    """And each gets its own objects."""
    client = connect()
    alone = [slow.predict([scene]) for scene in SCENES]
    first = together(lambda: client.post("/predict", content=PHOTOS[0]))
    assert slow.began.wait(10)
    others = together(
        *(lambda photo=photo: client.post("/predict", content=photo) for photo in PHOTOS)
    )
    until(lambda: "queue_length 3.0" in client.get("/metrics").text)
    slow.allowed.set()
    answers = [future.result() for future in first + others]
    assert slow.sizes == [1, 3]
    for answer, (expected,) in zip(answers, [alone[0], *alone], strict=True):
        found = objects(answer)
        assert [name for name, _ in found] == [one["category"] for one in expected]
        assert np.allclose([box for _, box in found], [one["bbox"] for one in expected], atol=1e-3)


def test_too_many_requests(connect, slow, together, until):
    """Refused before their body is read, with the time to come back; then all is as before."""
    client = connect(max_queue=2)
    running = together(*(lambda: client.post("/predict", content=PHOTOS[0]) for _ in range(2)))
    until(lambda: "under_way 2.0" in client.get("/metrics").text)
    refused = client.post("/predict", content=PHOTOS[0])
    assert refused.status_code == 503
    assert refused.json()["detail"] == "2 requests are under way already; try again in 1 s"
    assert refused.headers["Retry-After"] == "1"
    assert client.get("/health").status_code == client.get("/ready").status_code == 200
    slow.allowed.set()
    assert all(future.result().status_code == 200 for future in running)
    assert client.post("/predict", content=PHOTOS[0]).status_code == 200


def test_time_that_is_over(connect, slow, together, until):
    """504; the request that was still waiting is not computed afterwards."""
    client = connect(timeout=0.6)
    first = together(lambda: client.post("/predict", content=PHOTOS[0]))
    assert slow.began.wait(10)
    late = client.post("/predict", content=PHOTOS[1])
    assert late.status_code == 504
    assert late.json()["detail"] == "there was no result within 0.6 seconds"
    assert first[0].result().status_code == 504
    assert "queue_length 0.0" in client.get("/metrics").text
    slow.allowed.set()
    until(lambda: "batch_size_count 1.0" in client.get("/metrics").text)
    assert slow.sizes == [1]
    assert "under_way 0.0" in client.get("/metrics").text


def test_a_failure_has_an_id_in_answer_and_log(connect, monkeypatch, served_model, caplog):
    client = connect()

    def fail(images, **options):
        raise KeyError("inside")

    monkeypatch.setattr(served_model, "batch_predict", fail)
    with caplog.at_level(logging.ERROR):
        answer = client.post("/predict", content=PHOTOS[0])
    assert answer.status_code == 500
    told = answer.json()
    assert "inside" not in told["detail"]
    assert told["id"] in told["detail"]
    assert answer.headers["X-Request-ID"] == told["id"]
    (record,) = [one for one in caplog.records if told["id"] in one.getMessage()]
    assert "KeyError: 'inside'" in caplog.text
    assert record.exc_info
    monkeypatch.undo()
    assert client.post("/predict", content=PHOTOS[0]).status_code == 200


def test_memory_that_is_not_enough(connect, monkeypatch, served_model):
    client = connect()

    def fail(images, **options):
        raise MemoryError("no more")

    monkeypatch.setattr(served_model, "batch_predict", fail)
    answer = client.post("/predict", content=PHOTOS[0])
    assert answer.status_code == 503
    assert answer.json()["detail"] == "there was not enough memory for this image; try again in 1 s"
    assert answer.headers["Retry-After"] == "1"


def test_a_broken_gpu_ends_health(connect, monkeypatch, served_model):
    """So that whoever watches the process starts a new one."""
    client = connect()

    def fail(images, **options):
        raise RuntimeError("CUDA error: device-side assert triggered\nmore")

    monkeypatch.setattr(served_model, "batch_predict", fail)
    assert client.post("/predict", content=PHOTOS[0]).status_code == 500
    for answer in (client.get("/health"), client.get("/ready"), client.post("/predict")):
        assert answer.status_code == 503
        assert "device-side assert" in answer.json()["detail"]


def test_ids_of_the_client_are_kept(shared_client):
    given = shared_client.get("/health", headers={"X-Request-ID": "abc-1"})
    assert given.headers["X-Request-ID"] == "abc-1"
    strange = shared_client.get("/health", headers={"X-Request-ID": "a b<script>"})
    assert re.fullmatch("[0-9a-f]{16}", strange.headers["X-Request-ID"])


def test_an_address_forges_no_line_of_the_log(shared_client, caplog):
    with caplog.at_level(logging.INFO):
        shared_client.get("/a%0A2026 [INFO] POST /predict 200")
    assert "/a%0A2026" in caplog.text


def test_metrics(connect):
    client = connect()
    found = client.post("/predict", content=PHOTOS[0]).json()["objects"]
    client.post("/predict", content=b"x")
    client.get("/secret")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'paddlex_maskrcnn_requests_total{path="/predict",status="200"} 1.0',
        'paddlex_maskrcnn_requests_total{path="/predict",status="415"} 1.0',
        'paddlex_maskrcnn_requests_total{path="other",status="404"} 1.0',
        'paddlex_maskrcnn_request_seconds_count{path="/predict"} 2.0',
        "paddlex_maskrcnn_queue_length 0.0",
        "paddlex_maskrcnn_requests_under_way 0.0",
        "paddlex_maskrcnn_batch_size_sum 1.0",
        "paddlex_maskrcnn_model_seconds_count 1.0",
        "paddlex_maskrcnn_objects_count 1.0",
        f"paddlex_maskrcnn_objects_sum {len(found)}.0",
    ):
        assert line in lines


def test_the_model_is_described(shared_client, served_model):
    about = shared_client.get("/model").json()
    assert about["classes"][1] == {"category_id": 2, "category": "square", "dataset_id": 7}
    assert about["input"]["channels"] == 3
    assert about["score_threshold"] == 0.1
    assert about["limits"]["max_pixels"] == 50_000_000
    assert about["formats"][0] == "JPEG"
    assert set(about["versions"]) == {"paddlex_maskrcnn", "torch", "detectron2", "python"}


def test_the_page_of_the_interface_says_what_there_is(shared_client):
    page = shared_client.get("/openapi.json").json()
    assert set(page["paths"]) == {"/predict", "/health", "/ready", "/metrics", "/model"}
    predict = page["paths"]["/predict"]["post"]
    assert {one["name"] for one in predict["parameters"]} == {
        "score_threshold", "mask_format", "tile", "overlap",
    }  # fmt: skip
    assert "multipart/form-data" in predict["requestBody"]["content"]
    answer = predict["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/Answer"}
    assert {"400", "413", "415", "422", "500", "503", "504"} < set(predict["responses"])
    assert "text/html" in shared_client.get("/docs").headers["content-type"]


def test_answers_fit_the_model_of_the_page(shared_client):
    for form in ("rle", "polygon", "none"):
        answer = shared_client.post(f"/predict?mask_format={form}", content=PHOTOS[0])
        Answer.model_validate(answer.json(), strict=True)


def test_an_api_key(connect):
    """Asked for where images and the model are; not by probes."""
    client = connect(api_key="s3cret")
    for headers in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": "sécret".encode("latin-1")}):
        answer = client.post("/predict", content=PHOTOS[0], headers=headers)
        assert answer.status_code == 401
        assert client.get("/model", headers=headers).status_code == 401
    key = {"X-API-Key": "s3cret"}
    assert client.post("/predict", content=PHOTOS[0], headers=key).status_code == 200
    assert client.get("/model", headers=key).status_code == 200
    assert client.get("/health").status_code == client.get("/metrics").status_code == 200
