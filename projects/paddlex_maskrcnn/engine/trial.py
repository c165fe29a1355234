"""A trial of a prepared run: what a step takes, the evaluation of an image, and how much memory.

Steps are those of `train` on the run's own data: loader processes, precision, accumulation and compiling
included. Their learning rate is 0, since a rate that is still to be chosen must not make a trial diverge;
that takes as long. The run is of no use afterwards: build it anew, which also seeds everything anew.
"""

from __future__ import annotations

import gc
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from statistics import fmean
from typing import Any

import torch
from detectron2.engine import HookBase

from ..data.loader import PREFETCHED_BATCHES
from ..errors import OutOfMemoryError
from ..inference.evaluate import Stopwatch, rows_of_images
from ..processes import from_main, shard, to_main
from ..system import worker_count
from .device import close, on_device, usual_layout
from .hooks import peak_memory_mb
from .setup import TrainingRun
from .train import build_trainer
from .trainer import Batch, Trainer

logger = logging.getLogger(__name__)

_SLOW_STEPS = 2  # the first ones: caches are filled, loader processes start, parts are compiled
_LEAST, _MOST = 3, 20  # steps or images that are measured
_SHARE = 0.25  # of the time for steps: what loading and evaluating may take beside it


@dataclass(frozen=True)
class Pace:
    """What a run takes, of several processes the slowest.

    Attributes:
        seconds_per_step: of one optimizer step, in the long run.
        seconds_per_image: of the evaluation, for each held-out image, whichever process has it; 0 without
            held-out data.
        memory_mb: the peak in MiB, of the GPU when there is one, else of the process.
    """

    seconds_per_step: float
    seconds_per_image: float
    memory_mb: float


def measure_pace(run: TrainingRun, seconds: float = 20.0) -> Pace:
    """Take some steps of a run and evaluate some images; all processes of a run call it.

    Args:
        run: fresh from `set_up`; thrown away afterwards.
        seconds: for the steps, of which there are 3 to 22; evaluation and loading get a quarter of it each.

    Raises:
        OutOfMemoryError: when the batch does not fit.
        TrainingDivergedError: when the loss is not finite from the start.
    """
    if run.network.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(run.network.device)  # of a larger batch before
    per_step = _seconds_per_step(run, seconds)
    per_image = _seconds_per_image(run, seconds * _SHARE) / shard()[1]
    paces = to_main([astuple(Pace(per_step, per_image, peak_memory_mb()))])
    return Pace(*from_main([max(values) for values in zip(*paces, strict=True)]))


def largest_batch(first: int, measure: Callable[[int], Pace]) -> tuple[int, Pace]:
    """The first of `first`, its half, a quarter, ... images that fit into memory, and its pace.

    Args:
        measure: builds a run with a batch of so many images and returns `measure_pace` of it.

    Raises:
        OutOfMemoryError: when not even one image fits. Of several processes, from the first one that is
            full: the others wait for its gradients, so that none of them can try anew.
    """
    size = first
    while True:
        try:
            return size, measure(size)
        except OutOfMemoryError:
            if size == 1 or shard()[1] > 1:
                raise
            logger.info("A batch of %d images does not fit into memory: trying %d", size, size // 2)
            size //= 2
        finally:
            _free_memory()


def _free_memory() -> None:
    """Give back what a run that nobody refers to has left: optimizer and schedule refer to each other."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class _StepTimes(HookBase):
    """Notes when each step has ended, and ends the trial.

    Attributes:
        ends: the beginning of the first step and the end of each, in seconds.
    """

    trainer: Trainer

    def __init__(self, seconds: float) -> None:
        self.ends: list[float] = []
        self._seconds = seconds

    def before_train(self) -> None:
        self.ends.append(time.perf_counter())

    def after_step(self) -> None:
        self._note()
        is_over = from_main(_is_enough(self.ends, _SLOW_STEPS, self._seconds))
        # only at both ends: in between the device works on while the host prepares the next step
        if is_over or len(self.ends) == 1 + _SLOW_STEPS:
            if self.trainer.network.device.type == "cuda":
                torch.cuda.synchronize(self.trainer.network.device)
            self.ends.pop()
            self._note()
        if is_over:
            self.trainer.stop_reason = "the trial is over"

    def _note(self) -> None:
        self.ends.append(time.perf_counter())


def _is_enough(ends: Sequence[float], slow: int, seconds: float) -> bool:
    """Whether what was measured will do: of what takes many seconds each, a few are steady enough.

    Args:
        ends: the beginning of the first step or image and the end of each.
        slow: the first ones that are left out.
        seconds: for all of them.
    """
    measured = len(ends) - 1 - slow
    if measured < 1:
        return False
    is_late, is_very_late = ends[-1] - ends[0] >= seconds, ends[-1] - ends[slow] >= seconds
    return measured >= _MOST or (measured >= _LEAST and is_late) or is_very_late


def _seconds_per_step(run: TrainingRun, seconds: float) -> float:
    """Of a step of mean size, or what loading its images takes, where that is more."""
    run.progress.num_epochs = _SLOW_STEPS + _MOST  # so that no epoch is too short
    run.schedule.base_lrs = [0.0 for _ in run.schedule.base_lrs]
    run.set_schedule()
    loader, pixels, times = run.batches(), list[int](), _StepTimes(seconds)
    try:
        noted = _noting_pixels(loader, pixels)
        with on_device(noted, run.network.device, _SLOW_STEPS + _MOST) as batches:
            trainer = build_trainer(run, batches)
            trainer.register_hooks([times])
            trainer.run()
        workers = worker_count(run.train_dataset.num_workers)
        loading = _seconds_of_loading(loader, workers, seconds * _SHARE)
    finally:
        close(loader)
    return max(per_step(times.ends, pixels), loading)


def per_step(ends: Sequence[float], pixels: Sequence[int]) -> float:
    """Seconds of a step of mean size, the first steps left out.

    Args:
        ends: the beginning of the first step and the end of each, in seconds.
        pixels: of the batch of each step, and perhaps of batches after these.
    """
    measured = _differences(ends[_SLOW_STEPS:])
    sizes = pixels[_SLOW_STEPS : _SLOW_STEPS + len(measured)]
    rates = [spent / size for spent, size in zip(measured, sizes, strict=True)]
    return trimmed_mean(rates) * fmean(pixels)


def trimmed_mean(values: Sequence[float]) -> float:
    """The mean without the highest and lowest eighth, rounded down: another program may have interfered."""
    cut = len(values) // 8
    return fmean(sorted(values)[cut : len(values) - cut])


def _noting_pixels(batches: Iterator[Batch], pixels: list[int]) -> Iterator[Batch]:
    for batch in batches:
        heights, widths = zip(*(sample["image"].shape[-2:] for sample in batch), strict=True)
        pixels.append(len(batch) * max(heights) * max(widths))  # smaller ones are padded
        yield batch


def _seconds_of_loading(loader: Iterator[Any], workers: int, seconds: float) -> float:
    """Of a batch, by all loader processes together; 0 without any, where it is part of the step.

    During the slow first steps they get ahead of the training. What they have ready is taken away first, and
    then timed what each of them takes to load two more.
    """
    if not workers:
        return 0.0
    ends = [time.perf_counter()]
    for _ in itertools.islice(loader, workers * (PREFETCHED_BATCHES + 2)):
        ends.append(time.perf_counter())
        if ends[-1] - ends[0] >= seconds:
            break
    return fmean(_differences(ends[-2 * workers - 1 :]))


def _seconds_per_image(run: TrainingRun, seconds: float) -> float:
    """Of evaluating an image of this process; an untrained network detects more, which takes longer."""
    if run.eval_dataset is None:
        return 0.0
    run.network.module.eval()
    ends = [time.perf_counter()]
    with usual_layout(run.network.module):
        images = rows_of_images(run.network, run.eval_dataset, run.eval_transforms, 1, Stopwatch())
        for _ in images:
            ends.append(time.perf_counter())
            if _is_enough(ends, 1, seconds):
                break
        close(images)
    measured = _differences(ends)
    return trimmed_mean(measured[1:] or measured or [0.0])


def _differences(values: Sequence[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(values)]
