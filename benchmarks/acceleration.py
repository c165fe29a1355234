"""What each entry of `acceleration/` gains: everything accelerated against everything but that entry.

    python benchmarks/acceleration.py [--clock cpu] [--size 512] [--rounds 7]
    python benchmarks/acceleration.py --variant "focal:model.rpn_cls_loss=SigmoidFocalLoss"
    python benchmarks/acceleration.py --variant "c4:model.with_fpn=false,train.pretrain_weights=null"
    python benchmarks/acceleration.py --device cuda --check        # equal results only, nothing is timed

A network with random weights (ResNet50-FPN without --variant) steps and predicts with all entries,
without each of those that it uses, and without any (`plain`), in turns. A gain is the time without the
entry over the time with all, the median of the ratios within a round: an entry is worth having from
1.05 on. Before that, losses and detections are compared with the plain path; the exit status is 1 when
they differ. On a GPU the faster forms compute Detectron2's way, so that all gains are about 1 there.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from detectron2.utils.events import EventStorage
from side_by_side.equality import check_detections, check_losses
from side_by_side.networks import our_run, write_weights
from side_by_side.pictures import draw_pictures
from side_by_side.predicting import as_input, detections_of, images_of_size
from side_by_side.record import Check
from side_by_side.rounds import Spread, ratios, take_turns
from side_by_side.settings import Settings, Variant, positive, read_variant
from side_by_side.training import augmented, endless

from paddlex_maskrcnn.acceleration import accelerate, asks_for_plain, plain
from paddlex_maskrcnn.acceleration.accelerate import FASTER
from paddlex_maskrcnn.engine.train import build_trainer
from paddlex_maskrcnn.inference.detections import detect

ALL, PLAIN = "nothing", "any (plain)"  # what is left out
PARTS = {"step": "training step", "predict": "prediction"}


def entries_of(network: torch.nn.Module) -> list[str]:
    """Names of the faster forms that a network has components for."""
    components = {type(component) for component in plain(network).modules()}
    return [faster.__name__ for component, faster in FASTER.items() if component in components]


def accelerate_without(network: torch.nn.Module, left_out: str) -> None:
    """Bring a network into the form that a contestant's name says; it takes about a millisecond."""
    plain(network)
    if left_out == PLAIN:
        return
    entries = {c: faster for c, faster in FASTER.items() if faster.__name__ == left_out}
    for component in entries:
        del FASTER[component]
    try:
        accelerate(network)
    finally:
        FASTER.update(entries)


class Bench:
    """A training run of ours, whose network changes its form from turn to turn.

    Attributes:
        network: with random weights.
        entries: that it has components for.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        size = (96, 128) if settings.quick else (480, 640)
        pictures = draw_pictures(folder / "images", 2, size)
        variant = settings.variants[0] if settings.variants else Variant("")
        # random weights of the network itself, where the drawn ones may not fit
        drawn = "pretrain_weights" not in variant.train
        weights = write_weights(folder, settings=settings).ours if drawn else folder
        run = our_run(weights, pictures.dataset(augmented(settings)), settings, variant)
        self.settings, self.run, self.network = settings, run, run.network.module
        self.batches = list(itertools.islice(run.batches(), 2))
        self.trainer = build_trainer(run, endless(self.batches))
        self.inputs = [as_input(image) for image in images_of_size(pictures.arrays(), settings)]
        self.entries = entries_of(self.network)

    def step(self) -> None:
        with EventStorage():
            self.trainer.run_step()

    def predict(self) -> None:
        for image in self.inputs:
            detect(self.network, [image])

    def gains(self, part: str) -> dict[str, tuple[Spread, float]]:
        """Contestant -> its time over that with everything, and its median seconds."""
        self.run.network.set_training(part == "step")
        names = [ALL, *self.entries, PLAIN]
        work: dict[str, Callable[[], None]] = {n: partial(self._turn, n, part) for n in names}
        settings = self.settings
        seconds = take_turns(work, settings.rounds, clock=settings.clock, device=settings.device)
        return {
            name: (Spread.of(ratios(values, seconds[ALL])), Spread.of(values).median)
            for name, values in seconds.items()
        }

    def _turn(self, left_out: str, part: str) -> None:
        accelerate_without(self.network, left_out)
        getattr(self, part)()

    def checks(self) -> list[Check]:
        """Losses of the same weights, images and random numbers, and detections, of both paths."""
        losses, detections = {}, {}
        self.run.network.set_training(False)
        for name in (ALL, PLAIN):
            accelerate_without(self.network, name)
            detections[name] = [detections_of(self.network, image) for image in self.inputs]
        # afterwards, since live norms learn their statistics from a forward pass in training
        self.run.network.set_training()
        for name in (ALL, PLAIN):
            accelerate_without(self.network, name)
            torch.manual_seed(1)
            with torch.no_grad(), EventStorage():
                parts = self.network(self.batches[0])
            losses[name] = {key: float(value) for key, value in parts.items()}
        return [
            check_losses("losses, everything against plain", losses[ALL], losses[PLAIN]),
            check_detections("detections, the same", detections[ALL], detections[PLAIN]),
        ]


def report(bench: Bench, only_check: bool) -> int:
    """Print checks and gains; 1 when results differ."""
    checks = bench.checks()
    for check in checks:
        print(f"{'equal' if check.passed else 'NOT EQUAL'}: {check.name}: {check.found}")
    for part, title in () if only_check else PARTS.items():
        print(f"\n| {title} without | times as long | quartiles | median |\n|---|---|---|---|")
        for name, (gain, median) in bench.gains(part).items():
            quartiles = f"{gain.q1:.2f} to {gain.q3:.2f}"
            print(f"| {name} | {gain.median:.2f} | {quartiles} | {median:.3g} s |", flush=True)
    return 0 if all(check.passed for check in checks) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments and report."""
    parser = argparse.ArgumentParser(prog="acceleration.py", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=positive, default=7, help="turns that count; %(default)s")
    parser.add_argument("--size", type=positive, default=512, help="short side; %(default)s")
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"))
    parser.add_argument("--variant", metavar="NAME:SECTION.KEY=VALUE,...", help="other settings")
    parser.add_argument("--quick", action="store_true", help="tiny images, to see that all runs")
    parser.add_argument("--check", action="store_true", help="compare results; time nothing")
    args = parser.parse_args(arguments)
    if asks_for_plain():
        parser.error("PADDLEX_MASKRCNN_PLAIN is set, so that nothing is accelerated; unset it")
    try:
        variants = [read_variant(args.variant)] if args.variant else []
    except ValueError as error:
        parser.error(str(error))
    torch.set_num_threads(args.threads)
    settings = Settings(
        device=args.device, threads=args.threads, rounds=args.rounds, batch_size=1,
        size=96 if args.quick else args.size, regions=16 if args.quick else 512,
        clock=args.clock, quick=args.quick, variants=variants,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        return report(Bench(settings, Path(folder)), args.check)


if __name__ == "__main__":
    sys.exit(main())
