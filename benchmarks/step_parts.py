"""Where the time of a training step goes, by kind of operator: ours and stock Detectron2's, in turns.

    python benchmarks/step_parts.py [--rounds 5] [--size 320] [--batch-size 2] [--objects 8]

Forward, losses, backward and optimizer, on the images and weights of run.py. torch.profiler's own time
of every operator on one thread, since work that ours spreads over threads of its own is not seen by it.
`arithmetic` counts convolutions and matrix products, two operations a multiplication; `floor` is the
time of ours if all of it ran as fast as a large convolution or product, whichever was faster in the run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from side_by_side.arguments import positive
from side_by_side.arithmetic import best_speed
from side_by_side.pictures import draw_pictures
from side_by_side.settings import OURS, STOCK, Settings
from side_by_side.training import Stepper, steppers
from side_by_side.weights import write_weights
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

CONVOLUTION, ITS_GRADIENT = "convolutions, forward", "convolutions, backward"
PRODUCT, POOLING, OTHER = "matrix products", "RoIAlign, both ways", "all else"
KINDS = (CONVOLUTION, ITS_GRADIENT, PRODUCT, POOLING, OTHER)

# what an operator's name begins with -> its kind and that of all operators it calls, the first that fits
_OF_NAME = (
    ("torchvision::roi_align", POOLING),
    ("torchvision::_roi_align_backward", POOLING),
    ("GeneratedBackwardFor_torchvision_roi_align", POOLING),
    ("_Gather", POOLING),  # of modeling/gather_pooling.py, and its gradient
    ("aten::_embedding_bag", POOLING),
    ("aten::convolution_backward", ITS_GRADIENT),
    ("aten::_slow_conv2d_backward", ITS_GRADIENT),
    ("aten::convolution", CONVOLUTION),
    ("aten::_convolution", CONVOLUTION),
    ("aten::mm", PRODUCT),
    ("aten::addmm", PRODUCT),
    ("aten::bmm", PRODUCT),
    ("aten::baddbmm", PRODUCT),
)  # fmt: skip


@dataclass
class Measured:
    """What one run found, for a step: contestant -> kind -> ..."""

    seconds: dict[str, list[dict[str, float]]]  # of each round
    operations: dict[str, dict[str, float]]
    speed: float  # operations a second, the most that was seen


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table."""
    args = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    settings = Settings(threads=1, size=args.size, batch_size=args.batch_size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = write_weights(folder)
        pictures = draw_pictures(folder / "images", 4 * args.batch_size, objects=args.objects)
        builders = steppers(pictures, weights, settings)
        print(
            "\n".join(table(measure({one: builders[one]() for one in (OURS, STOCK)}, args.rounds)))
        )
    return 0


def measure(contestants: dict[str, Stepper], rounds: int) -> Measured:
    """All in turns; the first step of each counts operations and warms up."""
    operations = {name: count_operations(one.step) for name, one in contestants.items()}
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, one in contestants.items():
            seconds[name].append(profiled(one.step))
    return Measured(seconds, operations, best_speed(time.process_time))


def profiled(work: Callable[[], object]) -> dict[str, float]:
    """Kind of operator -> seconds of the work."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    return by_kind(found.events())


def by_kind(events: Iterable[Any]) -> dict[str, float]:
    """Kind -> seconds of the operators themselves; each belongs to the outermost kind it is inside."""
    seconds: dict[str, float] = defaultdict(float)
    for one in events:
        seconds[_kind(one)] += one.self_cpu_time_total / 1e6
    return {kind: seconds[kind] for kind in KINDS}


def _kind(event: Any) -> str:
    found = OTHER
    while event is not None:
        found = next((kind for name, kind in _OF_NAME if event.name.startswith(name)), found)
        event = event.cpu_parent
    return found


def count_operations(work: Callable[[], object]) -> dict[str, float]:
    """Kind of operator -> operations of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        work()
    operations: dict[str, float] = defaultdict(float)
    for operator, count in counter.get_flop_counts()["Global"].items():
        name = str(operator).split(".")[-1]
        kind = {"convolution": CONVOLUTION, "convolution_backward": ITS_GRADIENT}.get(name, PRODUCT)
        operations[kind] += count
    return {kind: operations[kind] for kind in KINDS}


def table(found: Measured) -> list[str]:
    """Medians over the rounds, and the median of the ratios within a round."""
    lines = [
        "| operators | Detectron2 | ours | times as fast | arithmetic: Detectron2, ours | floor |",
        "|---|---|---|---|---|---|",
    ]
    for kind in [*KINDS, "sum"]:
        ours, stock = (
            [one.get(kind, sum(one.values())) for one in found.seconds[name]]
            for name in (OURS, STOCK)
        )
        mine, theirs = (
            found.operations[name].get(kind, sum(found.operations[name].values()))
            for name in (OURS, STOCK)
        )
        ratio = statistics.median(b / a for a, b in zip(ours, stock, strict=True))
        lines.append(
            f"| {kind} | {statistics.median(stock):.2f} s | {statistics.median(ours):.2f} s "
            f"| {ratio:.2f} | {theirs / 1e9:.0f}, {mine / 1e9:.0f} GFLOP "
            f"| {mine / found.speed:.2f} s |"
        )
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="step_parts.py", description="Where time goes.")
    parser.add_argument("--rounds", type=positive, default=5, help="%(default)s")
    parser.add_argument("--size", type=positive, default=320, help="short side; %(default)s")
    parser.add_argument("--batch-size", type=positive, default=2)
    parser.add_argument("--objects", type=positive, default=8, help="of an image; %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
