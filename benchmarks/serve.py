"""Load test of `serve`: requests per second and latency, as a ratio to `model.predict` itself.

    python benchmarks/serve.py [MODEL_DIR] [--device cuda] [--requests 200] [--clients 1 4 16]

The service runs in a process of its own on a free port; the clients are threads of this one and post
JPEG files. Directly: one `predict` after the other of the same files, here. Both take turns, so
that only the ratio counts; the milliseconds depend on the machine and what else it does. Without
MODEL_DIR it is a ResNet-18 with random weights that finds 20 objects an image.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import httpx
import numpy as np
import torch
from side_by_side.arguments import positive

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.data.datasets.drawn import draw_scene
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.inference.model_directory import save_model_directory
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import InputFormat

NUM_FILES = 8


def save_untrained(folder: Path, short_size: int) -> Path:
    """A model directory of a network that finds objects in anything."""
    torch.manual_seed(0)
    # small, so that it is the service that is measured
    params = ModelParams(
        num_classes=4,
        backbone="ResNet18",
        fpn_num_channels=32,
        test_post_nms_top_n=50,
        score_threshold=0.05,
        keep_top_k=20,
    )
    form = InputFormat("BGR", (110.0, 110.0, 110.0), (50.0, 50.0, 50.0))
    steps = transforms.Compose([transforms.Normalize(), transforms.ResizeByShort(short_size)])
    names, ids = ["circle", "square", "star"], [1, 2, 3]
    card = ModelCard(params, names, ids, form, pretrained=False, transforms=steps.to_config())
    save_model_directory(folder, build_network(card, "cpu"))
    return folder


def write_files(folder: Path, height: int, width: int) -> list[Path]:
    """Drawn scenes as JPEG."""
    paths = []
    for index in range(NUM_FILES):
        scene = draw_scene(np.random.default_rng(index), index, (min(height, width),) * 2)[0]
        paths.append(folder / f"{index}.jpg")
        cv2.imwrite(str(paths[-1]), cv2.resize(scene, (width, height)))
    return paths


class Service:
    """A running service."""

    def __init__(self, address: str, process: int) -> None:
        self.client = httpx.Client(
            base_url=address, timeout=600, limits=httpx.Limits(max_connections=None)
        )
        self._process = process

    def number(self, metric: str) -> float:
        """One of its metrics."""
        text = self.client.get("/metrics").text
        found = re.search(rf"^paddlex_maskrcnn_{metric} (\S+)$", text, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def memory(self, kind: str) -> float:
        """VmRSS now or VmHWM at its peak, MB."""
        status = Path(f"/proc/{self._process}/status").read_text()
        found = re.search(rf"{kind}:\s+(\d+) kB", status)
        return int(found.group(1)) / 1024 if found else float("nan")


@contextmanager
def service(
    model: Path, device: str, clients: int, batch_size: int, log: Path
) -> Iterator[Service]:
    """The command in a process of its own, until the block ends."""
    command = [sys.executable, "-m", "paddlex_maskrcnn", "serve", str(model), "--port", "0"]
    options = ["--max-queue", str(2 * clients), "--batch-size", str(batch_size), "--timeout", "600"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *options, "--device", device], stdout=output, stderr=output
        )
    try:
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        running = Service(found.group(), process.pid)
        while running.client.get("/ready").status_code != 200:
            time.sleep(0.1)
        yield running
    finally:
        process.terminate()
        process.wait()


def served(client: httpx.Client, files: list[bytes], requests: int, clients: int) -> list[float]:
    """Seconds of each request."""
    turn = threading.Barrier(clients + 1)

    def work(first: int) -> list[float]:
        turn.wait()
        times = []
        for place in range(first, requests, clients):
            start = time.perf_counter()
            client.post("/predict", content=files[place % len(files)]).raise_for_status()
            times.append(time.perf_counter() - start)
        return times

    with ThreadPoolExecutor(clients) as pool:
        series = [pool.submit(work, first) for first in range(clients)]
        turn.wait()
        return [seconds for one in series for seconds in one.result()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, metavar="MODEL_DIR")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--requests", type=positive, default=60, help="of a round")
    parser.add_argument("--clients", type=positive, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--batch-size", type=positive, default=8)
    parser.add_argument("--size", type=positive, nargs=2, default=[480, 640], metavar=("H", "W"))
    parser.add_argument(
        "--short-size", type=positive, default=128, help="of the untrained model's input"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(arguments, Path(folder))


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """All rounds, and a line for each number of clients."""
    directory = arguments.model or save_untrained(folder / "model", arguments.short_size)
    paths = write_files(folder, *arguments.size)
    files = [path.read_bytes() for path in paths]
    model = pdx.load_model(directory, arguments.device, warm=True)
    print(f"torch {torch.__version__}, {arguments.device}, {torch.get_num_threads()} threads here")
    started = service(
        directory, arguments.device, max(arguments.clients), arguments.batch_size, folder / "log"
    )
    with started as running:
        idle = running.memory("VmRSS")
        served(running.client, files, NUM_FILES, 1)  # warm-up: caches of allocators, connections
        for clients in arguments.clients:
            compare(arguments, model, running, paths, files, clients)
        print(f"memory of the service: {idle:.0f} MB idle, {running.memory('VmHWM'):.0f} MB peak")


def compare(
    arguments: argparse.Namespace,
    model: pdx.det.MaskRCNN,
    running: Service,
    paths: list[Path],
    files: list[bytes],
    clients: int,
) -> None:
    """Rounds of both in turn, and one line about them."""
    rates, direct, times = [], [], []
    runs, images = running.number("batch_size_count"), running.number("batch_size_sum")
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        objects = sum(
            len(model.predict(str(paths[place % NUM_FILES]), mask_format="rle"))
            for place in range(arguments.requests)
        )
        direct.append(arguments.requests / (time.perf_counter() - start))
        start = time.perf_counter()
        times += served(running.client, files, arguments.requests, clients)
        rates.append(arguments.requests / (time.perf_counter() - start))
    batch = (running.number("batch_size_sum") - images) / (
        running.number("batch_size_count") - runs
    )
    ratio = statistics.median(a / b for a, b in zip(rates, direct, strict=True))
    p50, p95, p99 = np.percentile(times, [50, 95, 99]) * 1e3
    print(
        f"{clients:3d} clients: {statistics.median(rates):6.1f} requests/s, {ratio:.2f}x of predict "
        f"({statistics.median(direct):.1f}/s)   p50 {p50:.0f} ms, p95 {p95:.0f}, p99 {p99:.0f}   "
        f"mean batch {batch:.1f}, {objects / arguments.requests:.0f} objects an image"
    )


if __name__ == "__main__":
    main()
