"""The command line of `benchmarks/run.py`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from paddlex_maskrcnn.acceleration import PLAIN_VARIABLE, asks_for_plain

from . import own_process, predicting, small_parts, training
from .equality import check_detections
from .networks import SharedWeights, write_weights
from .pictures import Pictures, draw_pictures
from .record import (
    Part,
    Record,
    about,
    around_markers,
    lines_of,
    page_part,
    rows_of,
    write_between,
)
from .rounds import take_turns
from .settings import (
    LIKE_TORCHVISION,
    OURS,
    STOCK,
    TORCHVISION,
    Settings,
    output_file,
    positive,
    read_variant,
)


@dataclass
class Bench:
    """What the parts share: settings, drawn images, drawn weights."""

    settings: Settings
    folder: Path

    @cached_property
    def pictures(self) -> Pictures:
        quick = self.settings.quick
        return draw_pictures(
            self.folder / "images", 3 if quick else 8, (96, 128) if quick else (480, 640)
        )

    @cached_property
    def weights(self) -> SharedWeights:
        return write_weights(self.folder, settings=self.settings)

    def step(self) -> Part:
        """Training steps, after the check that the first one gives equal losses."""
        settings = self.settings
        builders = training.steppers(self.pictures, self.weights, settings)
        steppers = {name: build() for name, build in builders.items()}
        if settings.device == "cuda":
            checks = training.checks_of_all_samples(self.pictures, self.weights, settings)
        else:
            checks = training.checks(builders, steppers)
        turns = take_turns(
            training.turns_of(steppers, settings), settings.rounds, clock=settings.clock,
            device=settings.device, warm_up=training.warm_up_turns(settings),
        )  # fmt: skip
        steps = training.steps_of_a_turn(settings)
        seconds = {
            name: [turn / steps for turn in turn_seconds] for name, turn_seconds in turns.items()
        }
        name = f"{settings.batch_size} images, short side {settings.size}"
        equal = {(OURS, STOCK): "losses", (LIKE_TORCHVISION, TORCHVISION): "3 of 5 losses"}
        pairs = training.pairs(settings)
        return Part(rows_of("training step", name, seconds, pairs, equal=equal), checks)

    def predict(self) -> Part:
        """Predictions, after the check that they find the same."""
        settings = self.settings
        predictors = predicting.predictors(self.weights, settings)
        arrays = self.pictures.arrays()[: 1 if settings.quick else 2]
        images = predicting.images_of_size(arrays, settings)
        part = Part()
        seen = {
            name: [predictor.detections(image) for image in images]
            for name, predictor in predictors.items()
        }
        part.checks.append(check_detections("detections, Detectron2", seen[OURS], seen[STOCK]))
        boxes = [
            {k: v for k, v in objects.items() if k != "masks"} for objects in seen[LIKE_TORCHVISION]
        ]
        part.checks.append(check_detections("detections, torchvision", boxes, seen[TORCHVISION]))
        many = f"{len(arrays)} images, short side {settings.size}"
        jobs: dict[str, tuple[str, list[Any]]] = {
            f"array to objects with masks, {many}": ("objects", arrays),
            f"array to objects with run lengths, {many}": ("encoded", arrays),
            f"network alone, {many}": ("network", images),
        }
        pairs = predicting.pairs(settings)
        equal = {
            (OURS, STOCK): "boxes, scores, masks",
            (LIKE_TORCHVISION, TORCHVISION): "boxes, scores",
        }
        for work, (method, inputs) in jobs.items():
            turns = {
                name: predicting.over_all(getattr(predictor, method), inputs)
                for name, predictor in predictors.items()
            }
            seconds = take_turns(
                turns, settings.rounds, clock=settings.clock, device=settings.device
            )
            part.rows += rows_of("prediction", work, seconds, pairs, equal=equal)
        return part

    def loading(self) -> Part:
        return small_parts.loading(self.pictures, self.settings)

    def pasting(self) -> Part:
        return small_parts.pasting(self.settings)

    def nms(self) -> Part:
        return small_parts.nms(self.settings)

    def coco(self) -> Part:
        return small_parts.evaluation(self.settings)

    def startup(self) -> Part:
        return own_process.start_up(self.settings)

    def memory(self) -> Part:
        return own_process.peak_memory(self.pictures, self.weights, self.settings)


PARTS = ("step", "predict", "loading", "pasting", "nms", "coco", "startup", "memory")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 when a check of equal work failed, 2 for a mistake of the user."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        parts, settings = _parts(args.parts), _settings(args)
        path = args.json or output_file(_default_json(parts, settings))
        if args.write and (args.quick or set(parts) != set(PARTS)):
            raise ValueError("--write replaces the whole table; leave out --quick and --parts")
        if args.write:
            around_markers(args.write)  # a page that cannot be written to is told before the work
    except ValueError as error:
        parser.error(str(error))
    record = Record(about(settings, ["run.py", *arguments]))
    with tempfile.TemporaryDirectory() as folder:
        for part in measure(parts, settings, Path(folder)):
            record.add(part)
            record.save(path)  # what was measured stays if a later part fails
    if args.write:
        write_between(args.write, page_part(record))
    print(f"\nwritten: {path}" + (f", {args.write}" if args.write else ""))
    for check in record.failed:
        print(f"NOT THE SAME WORK: {check.name}: {check.found}", file=sys.stderr)
    return 1 if record.failed else 0


def measure(parts: Sequence[str], settings: Settings, folder: Path) -> Iterator[Part]:
    """Run the parts one after the other, telling each result as it comes."""
    _same_precision(settings)
    bench = Bench(settings, folder)
    for name in parts:
        started = time.perf_counter()
        work: Callable[[], Part] = getattr(bench, name)
        part = work()
        print(f"-- {name}, {time.perf_counter() - started:.0f} s", flush=True)
        for line in lines_of(part.rows):
            print(line, flush=True)
        for check in part.checks:
            verdict = "equal" if check.passed else "NOT EQUAL"
            print(f"   {verdict}: {check.name}: {check.found}", flush=True)
        yield part


def _same_precision(settings: Settings) -> None:
    """Threads, and products in full 32 bits, for all contestants alike."""
    torch.set_num_threads(settings.threads)
    torch.backends.cuda.matmul.allow_tf32 = settings.tf32
    torch.backends.cudnn.allow_tf32 = settings.tf32


def _default_json(parts: Sequence[str], settings: Settings) -> str:
    which = "_quick" if settings.quick else "" if set(parts) == set(PARTS) else "_parts"
    return f"output/bench{which}.json"


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise ValueError(f"--parts is {text!r}; choose some of {','.join(PARTS)}")
    return parts


def _settings(args: argparse.Namespace) -> Settings:
    on_gpu = args.device == "cuda"
    if asks_for_plain():
        raise ValueError(
            f"{PLAIN_VARIABLE} is set, so that ours would be Detectron2's way; unset it"
        )
    if on_gpu and not torch.cuda.is_available():
        raise ValueError("--device is cuda, but torch sees no GPU here")
    if on_gpu and args.clock == "cpu":
        raise ValueError("--clock is cpu, which does not see what a GPU does; leave it out")
    rounds = args.rounds or (2 if args.quick else 7)
    size = args.size or (96 if args.quick else 800 if on_gpu else 512)
    return Settings(
        device=args.device,
        threads=args.threads,
        rounds=rounds,
        size=size,
        batch_size=args.batch_size or (2 if on_gpu else 1),
        regions=16 if args.quick else 512,
        clock=args.clock,
        quick=args.quick,
        tf32=args.tf32,
        amp=args.amp,
        variants=[read_variant(text) for text in args.variant],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Ours, stock Detectron2 and torchvision on the same work, in turns.",
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="some of %(default)s")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--threads",
        type=positive,
        default=torch.get_num_threads(),
        help="of torch; OMP_NUM_THREADS limits NumPy's too",
    )
    parser.add_argument("--rounds", type=positive, help="turns that count; 7, with --quick 2")
    parser.add_argument(
        "--size", type=positive, help="short side in the network; 512, on a GPU 800"
    )
    parser.add_argument(
        "--batch-size", type=positive, help="images of a training step; 1, on a GPU 2"
    )
    parser.add_argument(
        "--clock", default="wall", choices=("wall", "cpu"),
        help="cpu: seconds of all threads of the process, for a machine that does other work",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="tiny work, to see that all runs")
    parser.add_argument(
        "--amp", default="off", choices=("off", "bf16", "fp16"), help="16-bit rows too"
    )
    parser.add_argument("--tf32", action="store_true", help="allow TF32 on a GPU, to all alike")
    parser.add_argument(
        "--variant", action="append", default=[], metavar="NAME:SECTION.KEY=VALUE,...",
        help="one more row of ours with other settings, as in 'compiled:train.compile=true'",
    )  # fmt: skip
    parser.add_argument(
        "--json", type=output_file,
        help="output/bench.json; of some parts bench_parts.json, with --quick bench_quick.json",
    )  # fmt: skip
    parser.add_argument(
        "--write", type=Path, metavar="PAGE.md", help="put the table into this page"
    )
    return parser
