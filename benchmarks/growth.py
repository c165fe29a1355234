"""Time and memory as the work grows, each point in a process of its own, and the fitted exponents.

    python benchmarks/growth.py [--axes image,objects] [--json output/growth.json]
                                [--picture docs/pictures/growth.png] [--profile objects]

A training step (ResNet50-FPN, one image of 320 x 320, 128 regions in the second stage) against pixels,
objects, classes and proposals; opening a COCO file against its annotations; evaluation against
detections. Seconds are CPU seconds of all threads; memory is the peak above the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from cost_growth.axes import AXES, BY_NAME, STEP, Axis, Point
from cost_growth.fit import fit
from side_by_side.arguments import output_file

Curves = Mapping[Axis, Sequence[Point]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="growth.py", description=__doc__.splitlines()[0])
    names = ",".join(BY_NAME)
    parser.add_argument("--axes", default=names, help="some of %(default)s")
    parser.add_argument("--quick", action="store_true", help="tiny work, to see that all runs")
    parser.add_argument("--json", type=output_file, default=Path("output/growth.json"))
    parser.add_argument("--picture", type=output_file, help="where to draw the curves, a PNG")
    parser.add_argument(
        "--profile", choices=list(BY_NAME), help="show what the largest point spends"
    )
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.point:
        print(json.dumps(asdict(_measured(BY_NAME[args.point[0]], int(args.point[1]), args.quick))))
        return 0
    if args.profile:
        profile(BY_NAME[args.profile], args.quick)
        return 0
    chosen = [one for one in args.axes.split(",") if one]
    if not chosen or not set(chosen) <= BY_NAME.keys():
        parser.error(f"--axes is {args.axes!r}; choose some of {names}")
    if args.picture and args.picture.suffix != ".png":
        parser.error(f"--picture is {args.picture}; a name that ends in .png is needed")
    curves = {axis: curve(axis, args.quick) for axis in AXES if axis.name in chosen}
    write(curves, args.json)
    if args.picture:
        from cost_growth.picture import draw

        draw(curves, args.picture)
    return 0


def curve(axis: Axis, quick: bool) -> list[Point]:
    """All points of an axis, told as they come."""
    points = []
    for value in axis.quick if quick else axis.values:
        points.append(_apart(axis, value, quick))
        one = points[-1]
        print(f"{axis.name:12} {value:>9} {one.seconds:9.3f} s {one.mib:8.0f} MiB", flush=True)
    for line in verdicts(axis, points):
        print(line, flush=True)
    return points


def verdicts(axis: Axis, points: Sequence[Point]) -> list[str]:
    """The exponents in words, one line for time and one for memory."""
    values = [point.value for point in points]
    lines = []
    for name in ("seconds", "mib"):
        growth = fit(values, [getattr(point, name) for point in points])
        verdict = "WORSE THAN LINEAR" if growth.worse_than_linear else "not worse than linear"
        lines.append(
            f"  {axis.name}, {name}: exponent {growth.exponent:.2f}, at the end {growth.last:.2f}: {verdict}"
        )
    return lines


def write(curves: Curves, path: Path) -> None:
    """Points and exponents as JSON."""
    from side_by_side.machine import machine, versions

    found = []
    for axis, points in curves.items():
        values = [point.value for point in points]
        costs = {name: [getattr(one, name) for one in points] for name in ("seconds", "mib")}
        growth = {name: asdict(fit(values, series)) for name, series in costs.items()}
        plain = {"axis": axis.name, "work": axis.work, "unit": axis.unit}
        found.append({**plain, "points": [asdict(one) for one in points], "growth": growth})
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "versions": versions(), "axes": found}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def profile(axis: Axis, quick: bool) -> None:
    """Where the largest point of an axis spends its time."""
    from cost_growth.measuring import prepare

    value = (axis.quick if quick else axis.values)[-1]
    with tempfile.TemporaryDirectory() as folder:
        work = prepare(axis, value, Path(folder), quick)
        if axis.work == STEP:
            import torch

            work()
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
                work()
            print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=15))
            return
        import cProfile
        import pstats

        with cProfile.Profile() as watched:
            work()
        pstats.Stats(watched).sort_stats("tottime").print_stats(20)


def _apart(axis: Axis, value: int, quick: bool) -> Point:
    command = [sys.executable, "-W", "ignore", __file__, "--point", axis.name, str(value)]
    done = subprocess.run(
        command + ["--quick"] * quick, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{axis.name} {value} failed:\n{done.stderr[-3000:]}")
    return Point(**json.loads(done.stdout.strip().splitlines()[-1]))


def _measured(axis: Axis, value: int, quick: bool) -> Point:
    from cost_growth.measuring import measure

    return measure(axis, value, quick)


if __name__ == "__main__":
    sys.exit(main())
