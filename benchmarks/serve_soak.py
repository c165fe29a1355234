"""`serve` under many clients for minutes, good and bad requests mixed: answers by status, growth of memory.

    python benchmarks/serve_soak.py [MODEL_DIR] [--minutes 10] [--clients 8] [--json output/soak.json]

The service runs in a process of its own on a free port of this machine; the clients are threads of this
one. Each kind of request has the statuses that are right; everything else is listed and makes the exit
status 1. Memory is the service's resident memory against the number of answered requests, a straight line
through the last two thirds. Without MODEL_DIR it is a small ResNet-18 with random weights that finds
objects in anything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import httpx
import numpy as np
import torch
from side_by_side.settings import output_file, positive

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.data.datasets.drawn import draw_scene
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.inference.model_directory import save_model_directory
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import InputFormat

TIMEOUT = 20  # seconds of a request
LEFT = 0  # in place of a status: the client went away, as it should
_SAMPLES_A_SECOND = 2
BUSY = (503, 504)  # right for a good request under load


@dataclass(frozen=True)
class Kind:
    """A kind of request.

    Attributes:
        statuses: the right ones.
        weight: how often it comes.
        send: does it, and returns the status.
    """

    statuses: tuple[int, ...]
    weight: int
    send: Callable[[httpx.Client, random.Random], int]


@dataclass
class Record:
    """What was answered, and the memory meanwhile."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    samples: list[tuple[int, float]] = field(default_factory=list)  # requests, MiB
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, status: int, is_right: bool, detail: str) -> None:
        with self.lock:
            self.answers[name, status] += 1
            if not is_right:
                self.unexpected.append(f"{name}: {detail}")

    @property
    def requests(self) -> int:
        return sum(self.answers.values())


def slope(samples: Sequence[tuple[int, float]]) -> float:
    """MiB for 1000 requests: a straight line through the last two thirds of the samples."""
    requests, memory = np.array(samples[len(samples) // 3 :], float).T
    if len(set(requests)) < 2:
        return float("nan")
    return float(np.polyfit(requests, memory, 1)[0] * 1000)


def pictures() -> list[bytes]:
    """Encoded scenes of several sizes and formats."""
    encoded = []
    for index, (side, suffix) in enumerate(
        [(96, ".jpg"), (128, ".png"), (160, ".jpg"), (96, ".bmp")]
    ):
        scene = draw_scene(np.random.default_rng(index), index, (side, side))[0]
        encoded.append(cv2.imencode(suffix, scene)[1].tobytes())
    return encoded


def huge_png() -> bytes:
    """A header that announces 3 gigapixels."""
    header = struct.pack(">IIBBBBB", 60_000, 50_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def kinds(files: Sequence[bytes]) -> dict[str, Kind]:
    """All kinds of requests."""

    def post(query: str = "", data: bytes | None = None, **headers: str) -> Callable[..., int]:
        def send(client: httpx.Client, rng: random.Random) -> int:
            content = rng.choice(files) if data is None else data
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return client.post(f"/predict{query}", content=content, headers=named).status_code

        return send

    def damaged(client: httpx.Client, rng: random.Random) -> int:
        content = bytearray(rng.choice(files))
        for _ in range(4):
            content[rng.randrange(min(len(content), 300))] = rng.randrange(256)
        return client.post("/predict", content=bytes(content)).status_code

    return {
        "picture": Kind((200, *BUSY), 30, post()),
        "polygons": Kind((200, *BUSY), 10, post("?mask_format=polygon")),
        "tiles": Kind((200, *BUSY), 10, post("?tile=64")),
        "form": Kind((200, *BUSY), 10, lambda client, rng: client.post(
            "/predict", files={"file": rng.choice(files)}).status_code),
        "leaves": Kind((LEFT,), 5, leave),
        "damaged": Kind((200, 413, 415, 422, *BUSY), 10, damaged),
        "cut off": Kind((422, *BUSY), 5, post(data=files[0][: len(files[0]) // 2])),
        "huge": Kind((413, *BUSY), 5, post(data=huge_png())),
        "large": Kind((413, *BUSY), 2, post(data=bytes(3 * 2**20))),
        "too many tiles": Kind((413, *BUSY), 5, post("?tile=16&overlap=0.9")),
        "text": Kind((415, *BUSY), 5, post(data=b"no picture")),
        "empty": Kind((400, *BUSY), 2, post(data=b"")),
        "option": Kind((422,), 2, post("?tile=big")),
        "name": Kind((421,), 2, post(Host="evil.example.org")),
        "address": Kind((404,), 1, lambda client, rng: client.get("/nothing").status_code),
    }  # fmt: skip


def leave(client: httpx.Client, rng: random.Random) -> int:
    """A client that goes away: in its headers, in its upload, or before its answer."""
    host, port = client.base_url.host, client.base_url.port
    request = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n\r\n".encode()
    with socket.create_connection((host, port or 80), timeout=TIMEOUT) as connection:
        connection.sendall(request[: rng.choice([10, len(request)])] + b"x" * rng.randrange(2))
        time.sleep(rng.random() / 4)
    return LEFT


@contextmanager
def service(model: Path, clients: int, log: Path) -> Iterator[tuple[str, int]]:
    """The command in a process of its own, until the block ends: its address, and the process."""
    command = [sys.executable, "-m", "paddlex_maskrcnn", "serve", str(model), "--port", "0"]
    options = ["--max-queue", str(2 * clients), "--timeout", str(TIMEOUT), "--max-image-mb", "2"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *options, "--device", "cpu"], stdout=output, stderr=output
        )
    try:
        while not (listening := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        while httpx.get(f"{listening.group()}/ready").status_code != 200:
            time.sleep(0.1)
        yield listening.group(), process.pid
    finally:
        process.terminate()
        process.wait(60)


def work(address: str, seed: int, end: float, record: Record, all_kinds: dict[str, Kind]) -> None:
    """One client."""
    rng = random.Random(seed)
    names, weights = list(all_kinds), [kind.weight for kind in all_kinds.values()]
    with httpx.Client(base_url=address, timeout=4 * TIMEOUT) as client:
        while time.monotonic() < end:
            (name,) = rng.choices(names, weights)
            try:
                status = all_kinds[name].send(client, rng)
                record.add(name, status, status in all_kinds[name].statuses, f"status {status}")
            except (httpx.HTTPError, OSError) as error:
                record.add(name, -1, False, f"{type(error).__name__}: {error}")


def status_of(process: int) -> tuple[float, int, int]:
    """Resident MiB, threads and open files."""
    text = Path(f"/proc/{process}/status").read_text()
    memory, threads = (
        int(match.group(1))
        for match in (re.search(rf"{key}:\s+(\d+)", text) for key in ("VmRSS", "Threads"))
        if match
    )
    return memory / 1024, threads, len(os.listdir(f"/proc/{process}/fd"))


def soak(model: Path, minutes: float, clients: int, log: Path) -> dict[str, object]:
    """Run, and sum up."""
    record, all_kinds = Record(), kinds(pictures())
    with service(model, clients, log) as (address, process):
        before, end = status_of(process), time.monotonic() + 60 * minutes
        threads = [
            threading.Thread(target=work, args=(address, seed, end, record, all_kinds))
            for seed in range(clients)
        ]
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            record.samples.append((record.requests, status_of(process)[0]))
            time.sleep(1 / _SAMPLES_A_SECOND)
        for thread in threads:
            thread.join()
        after, healthy = status_of(process), httpx.get(f"{address}/health").status_code == 200
    statuses: Counter[int] = Counter()
    for (_, status), count in record.answers.items():
        statuses[status] += count
    return {
        "minutes": minutes,
        "clients": clients,
        "requests": record.requests,
        "statuses": {str(status): statuses[status] for status in sorted(statuses)},
        "kinds": {f"{name} {status}": n for (name, status), n in sorted(record.answers.items())},
        "unexpected": record.unexpected[:20],
        "num_unexpected": len(record.unexpected),
        "mib_for_1000_requests": slope(record.samples),
        "memory_mib": [before[0], record.samples[len(record.samples) // 3][1], after[0]],
        "threads": [before[1], after[1]],
        "open_files": [before[2], after[2]],
        "failures_in_log": log.read_text().count("Traceback"),
        "healthy": healthy,
    }


def save_untrained(folder: Path) -> Path:
    """A model directory of a small network that finds objects in anything."""
    torch.manual_seed(0)
    params = ModelParams(
        num_classes=4, backbone="ResNet18", fpn_num_channels=32, test_post_nms_top_n=50,
        score_threshold=0.05, keep_top_k=20,
    )  # fmt: skip
    form = InputFormat("BGR", (110.0, 110.0, 110.0), (50.0, 50.0, 50.0))
    steps = transforms.Compose([transforms.Normalize(), transforms.ResizeByShort(128, 256)])
    names, ids = ["circle", "square", "star"], [1, 2, 3]
    card = ModelCard(params, names, ids, form, pretrained=False, transforms=steps.to_config())
    save_model_directory(folder, build_network(card, "cpu"))
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, metavar="MODEL_DIR")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=positive, default=8)
    parser.add_argument("--json", type=output_file, metavar="FILE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or save_untrained(Path(folder) / "untrained")
        result = soak(model, arguments.minutes, arguments.clients, Path(folder) / "log")
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return int(bool(result["num_unexpected"] or result["failures_in_log"] or not result["healthy"]))


if __name__ == "__main__":
    sys.exit(main())
