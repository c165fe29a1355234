"""Opening a large COCO set: time and memory, ours beside Detectron2's own, in processes of their own.

    python benchmarks/datasets.py [--images 20000] [--objects 7] [--workers 4] [--only ours]

Drawn for it: a json with polygons of 24 points, and a JPEG that all file names are hard links to.
Detectron2's side is `load_coco_json` and the serialised `DatasetFromList` that its loaders make of
it, its list of dicts given up afterwards as `DefaultTrainer` does. Ours is `CocoDetection`, once as it
is, which reads the header of every image and checks every object, and once without the headers,
which is all that Detectron2 does. Memory is of the process (resident set, from /proc): the peak
while opening, what stays, and what worker processes that read every record add to it (private
pages, each of --workers, forked as the loader forks them). Only ratios of one run count; where the
machine does other work too, those of CPU time are the steadier ones.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from side_by_side.arguments import positive

MEASURED = {
    "detectron2": "Detectron2: load_coco_json + DatasetFromList",
    "ours": "CocoDetection",
    "ours_no_headers": "CocoDetection without reading image headers",
}
_MOST_LINKS = 50_000  # file systems allow some 65 000 to a file


def draw(folder: Path, images: int, objects: int) -> None:
    """A COCO set, its pictures hard links to one."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    picture = Image.fromarray(rng.integers(0, 256, (480, 640, 3), np.uint8))
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": k, "name": f"class {k}"} for k in range(1, 81)]
    for number in range(1, images + 1):
        name, linked = f"{number:012d}.jpg", folder / f"{number // _MOST_LINKS}.jpg"
        if not linked.exists():
            picture.save(linked)
        os.link(linked, folder / "images" / name)
        content["images"].append({"id": number, "file_name": name, "height": 480, "width": 640})
        radii, centres = rng.uniform(5, 90, (objects, 1, 2)), rng.uniform(100, 380, (objects, 1, 2))
        outlines = np.round(circle * radii + centres, 2)
        for outline in outlines:
            low, high = outline.min(axis=0), outline.max(axis=0)
            size = np.round(high - low, 2)
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": int(rng.integers(1, 81)),
                    "iscrowd": 0,
                    "area": round(float(0.785 * size.prod()), 2),
                    "bbox": [*low.tolist(), *size.tolist()],
                    "segmentation": [outline.reshape(-1).tolist()],
                }
            )
    (folder / "instances.json").write_text(json.dumps(content))


def open_set(kind: str, folder: Path) -> Sequence[Any]:
    """The records as a training loader holds them."""
    if kind == "detectron2":
        from detectron2.data.common import DatasetFromList
        from detectron2.data.datasets.coco import load_coco_json

        dicts = load_coco_json(str(folder / "instances.json"), str(folder / "images"))
        return DatasetFromList(dicts, copy=False)
    from paddlex_maskrcnn.data.datasets import CocoDetection, reading
    from paddlex_maskrcnn.data.image_headers import Header

    if kind == "ours_no_headers":
        header = Header((480, 640), (480, 640))
        reading.read_headers = lambda paths: [header] * len(paths)  # type: ignore[assignment]
    return CocoDetection(folder / "images", folder / "instances.json").records


def measure(kind: str, folder: Path, workers: int) -> dict[str, float]:
    """Seconds and MiB of one way."""
    import detectron2.data.datasets.coco  # noqa: F401  imports are not what is measured

    import paddlex_maskrcnn.data.datasets  # noqa: F401

    gc.collect()
    before = _mib("Rss")
    start, started = time.perf_counter(), time.process_time()
    records = open_set(kind, folder)
    seconds, busy = time.perf_counter() - start, time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    gc.collect()
    found = {"seconds": seconds, "busy": busy, "peak": peak - before, "stays": _mib("Rss") - before}
    start = time.perf_counter()
    assert len([None for k in range(len(records)) if records[k]["annotations"]]) == len(records)
    found["read"] = (time.perf_counter() - start) / len(records) * 1e6
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, initializer=_keep, initargs=(records,)) as pool:
        found["worker"] = max(pool.map(_read_all, range(workers), chunksize=1))
    return found


_kept: Any = None


def _keep(records: Any) -> None:
    global _kept
    _kept = records


def _read_all(_: int) -> float:
    """MiB of private pages that reading every record (and collecting garbage) added."""
    gc.collect()
    before = _mib("Private_Dirty")
    for k in range(len(_kept)):
        _kept[k]
    gc.collect()
    return _mib("Private_Dirty") - before


def _mib(name: str) -> float:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=positive, default=20_000)
    parser.add_argument("--objects", type=positive, default=7)
    parser.add_argument("--workers", type=positive, default=4)
    parser.add_argument("--only", choices=MEASURED, nargs="+", default=list(MEASURED))
    parser.add_argument("--measure", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.folder, arguments.workers)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, arguments.images, arguments.objects)
        size = (folder / "instances.json").stat().st_size / 2**20
        print(f"{arguments.images} images x {arguments.objects} objects, json of {size:.0f} MiB")
        print("| | open, s | CPU, s | peak, MiB | stays, MiB | + each worker, MiB | record, us |")
        print("|---|---|---|---|---|---|---|")
        for kind in arguments.only:
            command = [sys.executable, "-W", "ignore", __file__, "--measure", kind]
            command += ["--folder", name, "--workers", str(arguments.workers)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            row = [found[key] for key in ("seconds", "busy", "peak", "stays", "worker", "read")]
            print(
                f"| {MEASURED[kind]} | " + " | ".join(f"{value:.1f}" for value in row) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
