"""Data: images a second of one loader process, and opening a large COCO set, beside Detectron2's own.

    python benchmarks/data.py load [--images 12] [--rounds 5] [--only 640x480]
    python benchmarks/data.py open [--images 20000] [--objects 7] [--workers 4]

load: drawn JPEG files, masks as polygons and as RLE. Both sides mirror half of the images, resize the
short side to 800 (long side at most 1333) and pack the targets, in one process with one thread, as a
loader process has it. `in full` is ours without reading large files at a reduced size.

open: a json with polygons of 24 points. Detectron2's side is `load_coco_json` and the serialised
`DatasetFromList` that its loaders make of it, its list of dicts given up afterwards as
`DefaultTrainer` does. Ours is `CocoDetection`, which also reads the header of every image and checks
every object. Memory is of the process: the peak while opening, what stays, and what worker processes
that read every record add (private pages). Only ratios of one run count; on a busy machine those of
CPU time are steadier.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import pycocotools.mask as coco_mask
import torch
from detectron2.data import DatasetMapper
from detectron2.data import transforms as d2
from detectron2.data.common import DatasetFromList
from detectron2.data.datasets.coco import load_coco_json
from side_by_side.pictures import CORNERS, OBJECTS, draw, write_coco
from side_by_side.rounds import (
    Spread,
    forget_peak,
    in_own_process,
    peak_mib,
    ratios,
    resident_mib,
    take_turns,
)
from side_by_side.settings import positive

from paddlex_maskrcnn.data.datasets import CocoDetection
from paddlex_maskrcnn.data.mapper import TrainMapper
from paddlex_maskrcnn.data.transforms import ComposedRCNNTransforms

SIZES = {"640x480": (480, 640), "1600x1200": (1200, 1600), "4000x3000": (3000, 4000)}
THEIRS, OURS = "Detectron2: load_coco_json + DatasetFromList", "CocoDetection"
Record = dict[str, Any]


def mappers(form: str) -> dict[str, Callable[[Record, int], Any]]:
    """What turns a record into a sample: Detectron2's with the same augmentation, and ours.

    Args:
        form: of the masks, `polygon` or `rle`.
    """
    theirs = DatasetMapper(
        is_train=True,
        augmentations=[d2.RandomFlip(), d2.ResizeShortestEdge(800, 1333)],
        image_format="BGR",
        use_instance_mask=True,
        instance_mask_format="polygon" if form == "polygon" else "bitmask",
    )
    recipe = ComposedRCNNTransforms("train")
    ours = TrainMapper(recipe, "BGR", 3, 0)
    in_full = TrainMapper(recipe, "BGR", 3, 0, reads_reduced=False)
    return {
        "Detectron2": lambda record, index: theirs(record),
        "ours": lambda record, index: ours(record, 0, index),
        "in full": lambda record, index: in_full(record, 0, index),
    }


def compare_loading(name: str, images: int, rounds: int) -> None:
    """Print a row for each form of masks."""
    with tempfile.TemporaryDirectory() as folder:
        records = draw(Path(folder), SIZES[name], images)
        for form in ("polygon", "rle"):
            in_form = records if form == "polygon" else [_with_rle(record) for record in records]
            work = {who: partial(_read, reader, in_form) for who, reader in mappers(form).items()}
            seconds = take_turns(work, rounds)
            rates = [f"{images / Spread.of(values).median:12.1f}" for values in seconds.values()]
            faster = [
                f"{who} {Spread.of(ratios(seconds['Detectron2'], seconds[who])).median:.2f}x"
                for who in ("ours", "in full")
            ]
            print(f"{name:10} {form:8} {''.join(rates)}   {', '.join(faster)}", flush=True)


def _read(reader: Callable[[Record, int], Any], records: list[Record]) -> None:
    for index, record in enumerate(records):
        reader(record, index)


def _with_rle(record: Record) -> Record:
    size = record["height"], record["width"]

    def rle(polygons: list[list[float]]) -> dict[str, Any]:
        return coco_mask.merge(coco_mask.frPyObjects(polygons, *size))

    objects = [
        {**annotation, "segmentation": rle(annotation["segmentation"])}
        for annotation in record["annotations"]
    ]
    return {**record, "annotations": objects}


def open_set(kind: str, folder: Path) -> Sequence[Any]:
    """The records as a training loader holds them."""
    images, ann_file = folder / "images", folder / "instances.json"
    if kind == THEIRS:
        return DatasetFromList(load_coco_json(str(ann_file), str(images)), copy=False)
    return CocoDetection(images, ann_file).records


def measure_opening(kind: str, folder: Path, workers: int) -> dict[str, float]:
    """Seconds and MiB of opening, measured in this process; `record` is the time of reading one."""
    gc.collect()
    before = resident_mib()
    forget_peak()
    start, cpu_start = time.perf_counter(), time.process_time()
    records = open_set(kind, folder)
    costs = {"open, s": time.perf_counter() - start, "CPU, s": time.process_time() - cpu_start}
    costs["peak, MiB"] = peak_mib() - before
    gc.collect()
    costs["stays, MiB"] = resident_mib() - before
    with multiprocessing.get_context("fork").Pool(workers, _share, (records,)) as pool:
        costs["+ each worker, MiB"] = max(pool.map(_read_all, range(workers), chunksize=1))
    start = time.perf_counter()
    for index in range(len(records)):
        records[index]
    costs["record, us"] = (time.perf_counter() - start) / len(records) * 1e6
    return costs


_shared: Any = None  # the records, in a worker


def _share(records: Any) -> None:
    global _shared
    _shared = records


def _read_all(_: int) -> float:
    """MiB of private pages that reading every record (and collecting garbage) added."""
    gc.collect()
    before = _private_mib()
    for index in range(len(_shared)):
        _shared[index]
    gc.collect()
    return _private_mib() - before


def _private_mib() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Private_Dirty:"))


def compare_opening(images: int, objects: int, workers: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_coco(folder, images * objects, objects, CORNERS)
        size = (folder / "instances.json").stat().st_size / 2**20
        print(f"{images} images x {objects} objects, json of {size:.0f} MiB")
        for kind in (THEIRS, OURS):
            costs = in_own_process(measure_opening, kind, folder, workers)
            if kind == THEIRS:
                print(f"| | {' | '.join(costs)} |\n|{'---|' * (len(costs) + 1)}")
            cells = " | ".join(f"{value:.1f}" for value in costs.values())
            print(f"| {kind} | {cells} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="data.py", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    load = commands.add_parser("load", help="images a second of one loader process")
    load.add_argument("--images", type=positive, default=12, help="files of each size")
    load.add_argument("--rounds", type=positive, default=5)
    load.add_argument("--only", choices=list(SIZES), help="files of this size")
    opening = commands.add_parser("open", help="time and memory of opening a large COCO set")
    opening.add_argument("--images", type=positive, default=20_000)
    opening.add_argument("--objects", type=positive, default=OBJECTS, help="of each image")
    opening.add_argument("--workers", type=positive, default=4)
    args = parser.parse_args(arguments)
    if args.command == "open":
        compare_opening(args.images, args.objects, args.workers)
        return 0
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    print(f"{'images a second':19}   Detectron2        ours     in full   against Detectron2")
    for name in [args.only] if args.only else SIZES:
        compare_loading(name, args.images, args.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
