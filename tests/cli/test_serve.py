"""``serve`` in a process of its own: start, load, oversize, clients that leave, SIGTERM."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from paddlex_maskrcnn import cli
from paddlex_maskrcnn.cli import serve as command
from support.untrained import load, save_untrained

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_untrained(tmp_path_factory.mktemp("model") / "untrained")


class Service:
    """The command, listening on a free port."""

    def __init__(self, model_dir, log, *arguments):
        self.log = log
        environment = os.environ | {"PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1"}
        start = [sys.executable, "-m", "paddlex_maskrcnn", "serve", str(model_dir), "--port", "0"]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*start, *arguments], stdout=file, stderr=subprocess.STDOUT, env=environment
            )
        try:
            address = self.until(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()))
            self.client = httpx.Client(base_url=address.group(), timeout=60)
            self.until(lambda: self.client.get("/ready").status_code == 200)
        except BaseException:
            self.process.kill()  # nobody else would end it
            raise

    def until(self, condition):
        end = time.monotonic() + 600
        while not (result := condition()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)
        return result

    def post(self, data, query="", **more):
        return self.client.post(f"/predict{query}", content=data, **more)

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.client.get("/metrics").text, re.M)
        return float(found.group(1)) if found else 0.0

    @property
    def peak_memory(self):
        """Bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


@pytest.fixture(scope="module")
def service(model_dir, tmp_path_factory):
    log = tmp_path_factory.mktemp("service") / "log"
    service = Service(model_dir, log, "--device", "cpu", "--max-image-mb", "2")
    yield service
    service.process.kill()
    service.process.wait()


def picture(seed, size=(48, 64)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def encoded(pixels, suffix=".png"):
    return cv2.imencode(suffix, pixels)[1].tobytes()


SLOW = encoded(picture(0, (400, 400)), ".jpg")  # seconds, as it is looked at in 25 tiles
IN_TILES = "?tile=100&overlap=0.1&mask_format=none"


def test_many_clients_at_once(service, model_dir):
    """Each gets the objects of its own image."""
    pixels = [picture(seed) for seed in range(4)]
    expected = load(model_dir).batch_predict(pixels)
    photos = [encoded(one) for one in pixels] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(service.post, photos))
    for place, answer in enumerate(answers):
        found, own = answer.json()["objects"], expected[place % 4]
        assert [one["category"] for one in found] == [one["category"] for one in own]
        assert np.allclose([one["bbox"] for one in found], [one["bbox"] for one in own], atol=1e-3)
    runs = service.metric("paddlex_maskrcnn_batch_size_count")
    assert service.metric("paddlex_maskrcnn_batch_size_sum") == 16 >= runs
    pattern = r'requests_total\{path="/predict",status="200"\} 16\.0'
    assert re.search(pattern, service.client.get("/metrics").text)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_an_upload_without_end_is_not_kept(service):
    """100 MB sent piece by piece to a service that takes 2: an answer, and no memory for it."""
    service.post(encoded(picture(0)))
    before = service.peak_memory

    def pieces():
        for _ in range(100):
            yield bytes(2**20)

    answer = service.post(pieces())
    assert answer.status_code == 413
    assert "larger than 2 MB" in answer.json()["detail"]
    assert service.peak_memory - before < 20 * 2**20
    assert service.post(encoded(picture(0))).status_code == 200


@pytest.mark.long
def test_a_client_that_leaves_is_not_computed_for(service):
    runs = service.metric("paddlex_maskrcnn_batch_size_count")
    with ThreadPoolExecutor(2) as pool:
        # of two that cannot share a run one is in the queue, where the next one comes behind it
        ways = (IN_TILES, IN_TILES.replace("0.1", "0.2"))
        slow = [pool.submit(service.post, SLOW, one) for one in ways]
        service.until(lambda: service.metric("paddlex_maskrcnn_queue_length") == 1)
        with pytest.raises(httpx.ReadTimeout):
            service.post(encoded(picture(1)), timeout=0.2)
        assert [one.result().status_code for one in slow] == [200, 200]
    gone = 'paddlex_maskrcnn_requests_total{path="/predict",status="499"}'
    assert service.metric(gone) == 1
    assert service.metric("paddlex_maskrcnn_batch_size_count") == runs + 2


def test_the_end(service):
    """The request under way is finished, the status is 0, the log has no traceback."""
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(service.post, SLOW, IN_TILES)
        service.until(lambda: service.metric("paddlex_maskrcnn_requests_under_way") == 1)
        service.process.send_signal(signal.SIGTERM)
        answer = slow.result()
    assert answer.status_code == 200
    assert answer.json()["objects"]
    assert service.process.wait(30) == 0
    log = service.log.read_text()
    assert "Traceback" not in log
    assert log.splitlines()[-1].endswith("ended")


@pytest.fixture
def fails(capsys, model_dir):
    """The command with arguments that stop it: what it says."""

    def fails(*arguments, model=model_dir):
        assert cli.main(["serve", str(model), *map(str, arguments)]) == 2
        return capsys.readouterr().err

    return fails


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--max-queue", 0], "max_queue is 0; allowed: 1 or more"),
        (["--timeout", "nan"], "timeout is nan; allowed: a number above 0"),
        (["--max-image-mb", -1], "max_image_mb is -1.0; allowed: a number above 0"),
        (["--max-pixels", 10**9], "max_pixels is 1000000000; allowed: 1 to 178956970"),
        (["--port", 70000], "cannot listen on host 127.0.0.1, port 70000"),
        (["--host", "no.such.host.invalid"], "cannot listen on host no.such.host.invalid"),
    ],
)
def test_mistakes(fails, arguments, fragment):
    assert fragment in fails(*arguments)


def test_a_port_in_use(fails):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port}: Address already in use" in fails("--port", port)


def test_no_model(fails, tmp_path):
    assert "there is no model directory" in fails(model=tmp_path / "none")


def test_missing_packages(fails, monkeypatch):
    """One error for all of them, before anything is loaded."""
    monkeypatch.setattr(command, "_NEEDS", ("json", "no_such_a", "no_such_b"))
    told = fails()
    assert "(no_such_a, no_such_b)" in told
    assert "pip install 'paddlex-maskrcnn[serve]'" in told
