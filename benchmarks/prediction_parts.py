"""Where the time of a prediction goes, part by part: ours and stock Detectron2's, in turns.

    python benchmarks/prediction_parts.py [--rounds 5] [--size 512] [--clock cpu --threads 1]

The network alone, on the images and weights of run.py. A part's time is that of its module less those
of the parts inside it; what NMS and the boxes cost stands under `detections`. `arithmetic` counts what
Detectron2's convolutions and matrix products do, two operations a multiplication; `floor` is its time
at the speed of a large convolution or product, whichever was faster in the same run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from side_by_side.arguments import positive
from side_by_side.arithmetic import best_speed
from side_by_side.networks import our_model
from side_by_side.pictures import draw_pictures
from side_by_side.predicting import Ours, Stock, images_of_size
from side_by_side.settings import OURS, STOCK, Settings
from side_by_side.weights import write_weights
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

# module -> the modules inside it that are parts of their own, and the part's name
PARTS = {
    "backbone.bottom_up": ((), "backbone"),
    "backbone": (("backbone.bottom_up",), "pyramid"),
    "proposal_generator.rpn_head": ((), "RPN head"),
    "proposal_generator": (("proposal_generator.rpn_head",), "proposals"),
    "roi_heads.box_pooler": ((), "box pooling"),
    "roi_heads.box_head": ((), "box head"),
    "roi_heads.mask_pooler": ((), "mask pooling"),
    "roi_heads.mask_head": ((), "mask head"),
    "roi_heads": (
        ("roi_heads.box_pooler", "roi_heads.box_head", "roi_heads.mask_pooler", "roi_heads.mask_head"),
        "detections",
    ),
}  # fmt: skip


def by_part(modules: Mapping[str, float]) -> dict[str, float]:
    """What is counted for each module with all inside it -> what belongs to each part alone."""
    return {
        part: modules.get(name, 0.0) - sum(modules.get(one, 0.0) for one in inside)
        for name, (inside, part) in PARTS.items()
    }


class PartClock:
    """Seconds of the modules of a network since it was last read."""

    def __init__(self, network: nn.Module, now: Callable[[], float]) -> None:
        """Watch the modules of `PARTS` from now on."""
        self._now, self._seconds, self._started = now, defaultdict(float), {}
        modules = dict(network.named_modules())
        for name in PARTS:
            modules[name].register_forward_pre_hook(lambda *_, name=name: self._start(name))
            modules[name].register_forward_hook(lambda *_, name=name: self._stop(name))

    def read(self) -> dict[str, float]:
        """Part -> seconds, and forget them."""
        taken = dict(self._seconds)
        self._seconds.clear()
        return by_part(taken)

    def _start(self, name: str) -> None:
        self._started[name] = self._now()

    def _stop(self, name: str) -> None:
        self._seconds[name] += self._now() - self._started[name]


@dataclass
class Measured:
    """What one run found, for an image."""

    seconds: dict[str, list[dict[str, float]]]  # contestant -> part -> seconds, for each round
    operations: dict[str, float]  # part -> operations of Detectron2's network
    speed: float  # operations a second, the most that was seen


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table."""
    args = _parser().parse_args(arguments)
    torch.set_num_threads(args.threads)
    settings = Settings(threads=args.threads, size=args.size, clock=args.clock)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), settings, args.rounds, args.images)
    print("\n".join(table(found)))
    return 0


def measure(folder: Path, settings: Settings, rounds: int, images: int) -> Measured:
    """Both networks in turns; one round before the others warms up."""
    now = time.perf_counter if settings.clock == "wall" else time.process_time
    weights = write_weights(folder)
    arrays = draw_pictures(folder / "images", images).arrays()
    inputs = images_of_size(arrays, settings)
    contestants: dict[str, Any] = {
        OURS: Ours(our_model(weights.ours, settings), settings),
        STOCK: Stock(weights, settings),
    }
    networks = {OURS: contestants[OURS]._module, STOCK: contestants[STOCK].predictor.model}
    operations = count_operations(
        networks[STOCK], lambda: [contestants[STOCK].found(image) for image in inputs]
    )
    clocks = {name: PartClock(network, now) for name, network in networks.items()}
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for turn in range(-1, rounds):
        for name, one in contestants.items():
            for image in inputs:
                one.network(image)
            taken = {part: value / images for part, value in clocks[name].read().items()}
            if turn >= 0:
                seconds[name].append(taken)
    each = {part: count / images for part, count in operations.items()}
    return Measured(seconds, each, best_speed(now))


def count_operations(network: nn.Module, work: Callable[[], object]) -> dict[str, float]:
    """Part -> operations of the network's convolutions and matrix products in `work`."""
    with FlopCounterMode(display=False) as counter:
        work()
    root = type(network).__name__
    counted = counter.get_flop_counts()
    return by_part({name: sum(counted.get(f"{root}.{name}", {}).values()) for name in PARTS})


def table(found: Measured) -> list[str]:
    """Medians over the rounds, and the median of the ratios within a round."""
    lines = [
        "| part | arithmetic | floor | Detectron2 | ours | times as fast |",
        "|---|---|---|---|---|---|",
    ]
    for part in [*found.operations, "sum"]:
        ours, stock = (
            [one.get(part, sum(one.values())) for one in found.seconds[name]]
            for name in (OURS, STOCK)
        )
        operations = found.operations.get(part, sum(found.operations.values()))
        ratio = statistics.median(b / a for a, b in zip(ours, stock, strict=True))
        times = [operations / found.speed, statistics.median(stock), statistics.median(ours)]
        shown = " | ".join(f"{1000 * seconds:.0f} ms" for seconds in times)
        lines.append(f"| {part} | {operations / 1e9:.1f} GFLOP | {shown} | {ratio:.2f} |")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="prediction_parts.py", description="Where time goes.")
    parser.add_argument("--rounds", type=positive, default=5, help="%(default)s")
    parser.add_argument("--images", type=positive, default=2)
    parser.add_argument("--size", type=positive, default=512, help="short side; %(default)s")
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"))
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads())
    return parser


if __name__ == "__main__":
    sys.exit(main())
