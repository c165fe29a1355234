"""Time and memory as the work grows, each point in a process of its own, and the fitted exponents.

    python benchmarks/growth.py [--axes image,objects] [--json output/growth.json]

A training step (ResNet50-FPN, one image of 320 x 320, 128 regions in the second stage) against pixels,
objects, classes and proposals; opening a COCO file against its annotations; evaluation against
detections. Seconds are CPU seconds of all threads; memory is the peak above the imports.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from coco_eval import draw_data, evaluate
from side_by_side import training
from side_by_side.networks import write_weights
from side_by_side.pictures import draw_pictures, write_coco
from side_by_side.record import machine, versions
from side_by_side.rounds import forget_peak, in_own_process, peak_mib, resident_mib, timed
from side_by_side.settings import Settings, Variant, output_file

from paddlex_maskrcnn.data.datasets import CocoDetection

STEP, OPEN, EVALUATE = "training step", "opening a data set", "evaluation"
TOLERANCE = 0.1  # above an exponent of 1; a few points of a busy machine say no more
_REPEATS = {STEP: 3, OPEN: 1, EVALUATE: 2}
_SIDE, _REGIONS = 320, 128  # pixels; regions of the second stage, fewer than usual, to be quick


@dataclass(frozen=True)
class Axis:
    """What grows while the rest stays.

    Attributes:
        name: on the command line.
        work: what is measured: STEP, OPEN or EVALUATE.
        unit: of the values.
        values: ascending.
        quick: a few small ones, to see that everything runs.
    """

    name: str
    work: str
    unit: str
    values: tuple[int, ...]
    quick: tuple[int, ...]


AXES = (
    Axis("image", STEP, "pixels of the image", (65536, 262144, 589824, 1048576), (4096, 16384)),
    Axis("objects", STEP, "objects in the image", (1, 10, 100, 400), (1, 4)),
    Axis("classes", STEP, "classes", (2, 80, 1000), (2, 4)),
    Axis("proposals", STEP, "proposals before and after NMS", (500, 2000, 8000), (100, 200)),
    Axis("annotations", OPEN, "annotations", (10_000, 100_000, 1_000_000), (70, 140)),
    Axis("detections", EVALUATE, "detections, 40 an image", (2000, 8000, 32_000), (80, 160)),
    Axis("crowding", EVALUATE, "detections an image, 100 images", (20, 80, 320), (5, 10)),
)
BY_NAME = {axis.name: axis for axis in AXES}


@dataclass(frozen=True)
class Point:
    """A measurement: median CPU seconds and the peak memory above what the imports take."""

    value: int
    seconds: float
    mib: float


@dataclass(frozen=True)
class Growth:
    """How a cost grows with the work: p of cost ~ work^p.

    Attributes:
        exponent: of the line through all points on a log-log scale; a fixed part lowers it.
        last: between the last two points, where the fixed part weighs least.
    """

    exponent: float
    last: float

    @property
    def worse_than_linear(self) -> bool:
        """Doubling the work more than doubles the cost."""
        return max(self.exponent, self.last) > 1 + TOLERANCE


def fit(values: Sequence[float], costs: Sequence[float]) -> Growth:
    """Least squares on the logarithms of at least two points, values ascending, costs above 0."""
    x, y = np.log(np.asarray(values, float)), np.log(np.asarray(costs, float))
    slope = float(np.polyfit(x, y, 1)[0])
    return Growth(slope, float((y[-1] - y[-2]) / (x[-1] - x[-2])))


def measure(name: str, value: int, quick: bool = False) -> Point:
    """Seconds and memory of an axis at this value, everything else as usual."""
    axis = BY_NAME[name]
    with tempfile.TemporaryDirectory() as folder:
        work = prepare(axis, value, Path(folder), quick)
        gc.collect()
        before = resident_mib()
        forget_peak()
        if axis.work != OPEN and not quick:
            work()  # warms up
        seconds = [timed(work, "cpu") for _ in range(1 if quick else _REPEATS[axis.work])]
        peak = peak_mib()
    return Point(value, statistics.median(seconds), max(peak - before, 1.0))


def prepare(axis: Axis, value: int, folder: Path, quick: bool = False) -> Callable[[], Any]:
    """What is timed; all that it only works on is made here."""
    if axis.work == OPEN:
        write_coco(folder, value)
        return lambda: CocoDetection(folder / "images", folder / "instances.json", num_workers=0)
    if axis.work == STEP:
        return _step(axis, value, folder, quick)
    counts = (100, max(1, value // 2), value) if axis.name == "crowding" else (value // 40, 20, 40)
    data, rows = draw_data(*counts, 20)
    return lambda: evaluate(data, rows)


def _step(axis: Axis, value: int, folder: Path, quick: bool) -> Callable[[], Any]:
    given = {axis.name: value}
    side = round(given.get("image", 64**2 if quick else _SIDE**2) ** 0.5)
    classes, proposals = given.get("classes", 80), given.get("proposals", 1000)
    regions = 16 if quick else _REGIONS
    settings = Settings(size=side, batch_size=1, regions=regions, threads=torch.get_num_threads())
    pictures = draw_pictures(folder / "images", 1, (side, side), classes, given.get("objects", 7))
    weights = write_weights(folder, classes)
    rows = {"train_pre_nms_top_n": proposals, "train_post_nms_top_n": proposals}
    batches = training.read_batches(pictures, weights, settings)
    return training.ours(weights.ours, batches, pictures, settings, Variant("", model=rows)).step


def curve(axis: Axis, quick: bool) -> list[Point]:
    """All points of an axis, printed as they come."""
    points = []
    for value in axis.quick if quick else axis.values:
        points.append(point := in_own_process(measure, axis.name, value, quick))
        print(f"{axis.name:12} {value:>9} {point.seconds:9.3f} s {point.mib:8.0f} MiB", flush=True)
    for line in verdicts(axis, points):
        print(line, flush=True)
    return points


def verdicts(axis: Axis, points: Sequence[Point]) -> list[str]:
    """The exponents in words, one line for time and one for memory."""
    lines = []
    for cost, growth in growths(points).items():
        verdict = "WORSE THAN LINEAR" if growth.worse_than_linear else "not worse than linear"
        exponents = f"exponent {growth.exponent:.2f}, at the end {growth.last:.2f}"
        lines.append(f"  {axis.name}, {cost}: {exponents}: {verdict}")
    return lines


def growths(points: Sequence[Point]) -> dict[str, Growth]:
    """Of `seconds` and of `mib`."""
    values = [point.value for point in points]
    return {
        cost: fit(values, [getattr(point, cost) for point in points]) for cost in ("seconds", "mib")
    }


def table(curves: Mapping[Axis, Sequence[Point]]) -> list[str]:
    """Rows for docs/performance.md."""
    rows = []
    for axis, points in curves.items():
        costs = growths(points)
        first, last = points[0], points[-1]
        time, memory = (f"{g.exponent:.2f} / {g.last:.2f}" for g in costs.values())
        rows.append(
            f"| {axis.work} | {axis.unit} (`{axis.name}`) | {first.value:,} to {last.value:,} "
            f"| {first.seconds:.3g} to {last.seconds:.3g} s | {time} "
            f"| {first.mib:.0f} to {last.mib:.0f} MiB | {memory} |"
        )
    return rows


def write(curves: Mapping[Axis, Sequence[Point]], path: Path) -> None:
    """Points and exponents as JSON."""
    axes = [
        {"axis": axis.name, "work": axis.work, "unit": axis.unit,
         "points": [asdict(point) for point in points],
         "growth": {cost: asdict(growth) for cost, growth in growths(points).items()}}
        for axis, points in curves.items()
    ]  # fmt: skip
    content = {"machine": machine(), "versions": versions(), "axes": axes}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="growth.py", description=__doc__.splitlines()[0])
    names = ",".join(BY_NAME)
    parser.add_argument("--axes", default=names, help="some of %(default)s")
    parser.add_argument("--quick", action="store_true", help="tiny work, to see that all runs")
    parser.add_argument("--json", type=output_file, default=Path("output/growth.json"))
    args = parser.parse_args(arguments)
    chosen = [name for name in args.axes.split(",") if name]
    if not chosen or not set(chosen) <= BY_NAME.keys():
        parser.error(f"--axes is {args.axes!r}; choose some of {names}")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    curves = {BY_NAME[name]: curve(BY_NAME[name], args.quick) for name in chosen}
    write(curves, args.json)
    print("\n".join(table(curves)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
