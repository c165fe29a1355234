"""The rules behind `auto`: from facts about data, machine and time to a value and its reason.

Plain arithmetic on numbers: which parameters ask for `auto`, and which others their rules look at, is known
to `auto`. Each reason has the numbers that led to the value, for people who want another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STRIDE = 32  # pixels that a cell of the coarsest feature map stands for; sizes are multiples of it

# Objects of this side, pixels of the resized image, are learned and found: 6 x 6 cells of the finest map.
_OBJECT_SIDE = 24
_SMALLEST_SIZE = 64
# device -> short sides, pixels: the least (images are small), the least (images are not), the most
_SIZES = {"cuda": (480, 640, 1024), "cpu": (256, 288, 512)}
_SMALL_GPU_GIB, _SMALL_GPU_SIZE = 12, 800
_LARGEST_ZOOM = 2.0  # enlarging more adds pixels, but nothing to see
_SMALLEST_SHARE = 0.8  # of the size, in training: Detectron2's 640 to 800

# Detectron2's model zoo names 3.4 GB for 2 images of 800 x 1333 (R50-FPN); crowded images need more.
_GIB_OF_AN_IMAGE, _GIB_OF_THE_REST = 3.0, 2.0
LARGEST_AREA = 800 * 1333  # pixels that this is for
_MOST_IMAGES = 8  # of a process and step
_CPU_IMAGES = 2
_STEPS_OF_A_PASS = 8  # at least, where there are images for them

_LEAST_PASSES, _MOST_PASSES = 12, 300  # 12: Detectron2's 1x schedule on COCO
_LEAST_STEPS = {"cuda": 2000, "cpu": 600}
_EVALUATIONS, _SHARE_OF_EVALUATIONS = 10, 0.1
_DECAYS = (2 / 3, 8 / 9)  # Detectron2's epochs 8 and 11 of 12
_LONGEST_WARMUP = 500

_RATE_OF_AN_IMAGE = 1 / 800  # the documented default, Detectron2's 0.02 for 16 images
_ADAM_RATE = 1e-4
_USUAL_BATCH = 16
ADAMS = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax")

_USUAL_DETECTIONS, _ROOM, _DETECTION_STEP = 100, 1.5, 50


@dataclass(frozen=True)
class DataFacts:
    """What the rules look at in training data.

    Attributes:
        num_images: of the training data.
        short_side: median short side of the images, pixels.
        small_object: tenth percentile of the objects' sides (square root of the box), as a share of the short
            side of their image; None without objects.
        most_objects: of the most crowded image; crowd regions are none.
    """

    num_images: int
    short_side: float
    small_object: float | None
    most_objects: int

    @property
    def object_side(self) -> float | None:
        """The side of the smaller objects, pixels of an image of median size."""
        return None if self.small_object is None else self.small_object * self.short_side


@dataclass(frozen=True)
class Machine:
    """Where training runs.

    Attributes:
        device: `cpu` or `cuda`.
        memory_gib: of one GPU; None without.
        processes: that train together.
    """

    device: str = "cpu"
    memory_gib: float | None = None
    processes: int = 1


@dataclass(frozen=True)
class Budget:
    """How long training may take, from a timed trial.

    Attributes:
        seconds_left: for steps and evaluations.
        seconds_per_step: of one step, its data included.
        seconds_per_evaluation: of the held-out data, saving included; 0 without such data.
    """

    seconds_left: float
    seconds_per_step: float
    seconds_per_evaluation: float = 0.0

    @property
    def most_evaluations(self) -> int:
        """As many as a tenth of the time allows, at least one."""
        if self.seconds_per_evaluation <= 0:
            return _EVALUATIONS
        allowed = _SHARE_OF_EVALUATIONS * self.seconds_left / self.seconds_per_evaluation
        return max(1, min(_EVALUATIONS, int(allowed)))


@dataclass(frozen=True)
class Choice:
    """A value that was chosen, and the sentence that says why."""

    value: Any
    reason: str


def short_size(facts: DataFacts, machine: Machine, longest: int = 0) -> Choice:
    """The short side, pixels, at which the smaller objects can be seen.

    Args:
        longest: what the long side may become, pixels; 0 or less: no limit.
    """
    least, usual, most = _SIZES[machine.device]
    limit = f"{most} is the most on a {_name(machine)}"
    if machine.memory_gib is not None and machine.memory_gib < _SMALL_GPU_GIB:
        most = _SMALL_GPU_SIZE
        limit = f"{most} is the most in {machine.memory_gib:.0f} GiB of GPU memory"
    largest = STRIDE * int(_LARGEST_ZOOM * facts.short_side / STRIDE)
    if largest < most:
        most, limit = largest, "enlarging them more than twice shows nothing new"
    if 0 < longest < most:
        most, limit = STRIDE * (longest // STRIDE), f"max_size is {longest}"
    floor = min(max(least, facts.short_side), usual, most)
    reason = f"the short side of the images is {facts.short_side:.0f} px"
    if facts.small_object:
        wanted = _OBJECT_SIDE / facts.small_object
        reason += (
            f" and a tenth of the objects are smaller than {facts.object_side:.0f} px; to make these "
            f"{_OBJECT_SIDE} px needs {wanted:.0f}"
        )
    else:
        wanted = floor
        reason += " and there are no objects to go by"
    if wanted > most:
        reason += f", but {limit}"
    elif wanted < floor:
        reason += f", but {floor:.0f} is the least for such images on a {_name(machine)}"
    size = STRIDE * round(min(max(wanted, floor), most) / STRIDE)
    return Choice(max(_SMALLEST_SIZE, size), reason)


def training_sizes(size: Choice) -> Choice:
    """Sizes for training, one of which is drawn for each image, up to that for evaluation."""
    first = STRIDE * math.ceil(_SMALLEST_SHARE * size.value / STRIDE)
    sizes = list(range(first, size.value + 1, STRIDE))
    if len(sizes) < 2:
        return size
    return Choice(sizes, f"{_SMALLEST_SHARE:g} to 1 times {size.value}; {size.reason}")


def train_batch_size(
    facts: DataFacts, machine: Machine, area: float, factor: float = 1.0, accumulate: int = 1
) -> Choice:
    """Images of a step, over all processes.

    Args:
        area: pixels of the largest image after resizing.
        factor: memory of an image, in that of a ResNet50 with FPN.
        accumulate: parts that a batch is computed in, one after the other.
    """
    if machine.device == "cpu":
        fits, reason = _CPU_IMAGES, f"{_CPU_IMAGES} images are enough work for a CPU"
    else:
        gib = max(0.1, _GIB_OF_AN_IMAGE * factor * area / LARGEST_AREA)
        memory = machine.memory_gib or 0.0
        fits = int((memory - _GIB_OF_THE_REST) / gib)
        reason = f"an image takes about {gib:.1f} GiB of {memory:.0f} GiB of GPU memory"
    each = max(1, min(_MOST_IMAGES, fits * accumulate))
    least = _CPU_IMAGES if facts.num_images >= 2 * _CPU_IMAGES else 1
    enough = max(least, facts.num_images // _STEPS_OF_A_PASS) // machine.processes
    if each > enough:
        each = max(1, enough)
        reason += f", and there are only {_count(facts.num_images, 'image')}"
    if each < accumulate:
        each, reason = accumulate, f"{reason}; accumulate asks for {accumulate}"
    if machine.processes > 1:
        reason += f"; {each} in each of {machine.processes} processes"
    return Choice(each * machine.processes, reason)


def num_epochs(
    num_images: int, batch_size: int, machine: Machine, budget: Budget | None, interval: int | None
) -> Choice:
    """Passes over the images: enough steps to learn from, or as many as fit into the time.

    Args:
        interval: epochs between two evaluations, None where they are chosen too.
    """
    steps = max(1, num_images // batch_size)
    a_pass = (
        f"{_count(steps, 'step')} per epoch ({_count(num_images, 'image')}, batch {batch_size})"
    )
    if budget is not None:
        return _epochs_in_time(steps, a_pass, budget, interval)
    least = _LEAST_STEPS[machine.device]
    wanted = math.ceil(least / steps)
    epochs = min(max(_LEAST_PASSES, wanted), _MOST_PASSES)
    if wanted > _MOST_PASSES:
        reason = f"at most {_MOST_PASSES} epochs of few images"
    elif wanted > _LEAST_PASSES:
        reason = f"at least {least} steps on a {_name(machine)}"
    else:
        reason = f"at least {_LEAST_PASSES} epochs, as Detectron2's 1x schedule on COCO"
    return Choice(epochs, f"{reason}; {a_pass}")


def _epochs_in_time(steps: int, a_pass: str, budget: Budget, interval: int | None) -> Choice:
    seconds = steps * budget.seconds_per_step
    epochs, evaluations = _most_epochs(seconds, budget, interval)
    reason = f"{_time(budget.seconds_left)} are left"
    if budget.seconds_per_evaluation:
        each = _time(budget.seconds_per_evaluation)
        reason += f"; {_count(evaluations, 'evaluation')} of {each}"
    reason += f"; {a_pass}, which take {_time(seconds)}"
    spent = epochs * seconds + evaluations * budget.seconds_per_evaluation
    if spent > budget.seconds_left:
        reason += f"; one epoch takes {_time(spent)}, more than is left"
    return Choice(epochs, reason)


def _most_epochs(seconds: float, budget: Budget, interval: int | None) -> tuple[int, int]:
    """Epochs that fit into the time, at least one, and their evaluations.

    Args:
        seconds: of the steps of an epoch.
    """
    each, left = budget.seconds_per_evaluation, budget.seconds_left
    if interval is None:
        most = budget.most_evaluations
        epochs = int((left - most * each) / max(seconds, 1e-9))
        if epochs < most:  # each is evaluated
            epochs = int(left / max(seconds + each, 1e-9))
        interval = math.ceil(max(1, epochs) / most)
    else:
        epochs = int(left / max(seconds + each / interval, 1e-9))
    while epochs > 1 and epochs * seconds + math.ceil(epochs / interval) * each > left:
        epochs -= 1
    epochs = max(1, epochs)
    return epochs, math.ceil(epochs / interval)


def save_interval_epochs(epochs: int, budget: Budget | None) -> Choice:
    """Epochs between evaluations; the last epoch is evaluated whatever the interval."""
    allowed = budget.most_evaluations if budget else _EVALUATIONS
    interval = max(1, math.ceil(epochs / allowed))
    times = math.ceil(epochs / interval)
    reason = f"{_count(times, 'evaluation')} in {_count(epochs, 'epoch')}"
    if allowed < _EVALUATIONS:
        reason += ", so that they take about a tenth of the time"
    return Choice(interval, reason)


def lr_decay_epochs(epochs: int) -> Choice:
    """Epochs after which the rate falls: at 2/3 and 8/9 of the run, those before its end."""
    decays: list[int] = []
    for share in _DECAYS:
        epoch = round(share * epochs)
        if max([0, *decays]) < epoch < epochs:
            decays.append(epoch)
    reason = f"at 2/3 and 8/9 of {_count(epochs, 'epoch')}, as Detectron2's 8 and 11 of 12"
    if len(decays) < len(_DECAYS):
        reason += "; the run is too short for " + ("any" if not decays else "both")
    return Choice(decays, reason)


def warmup_steps(total_steps: int, first_decay: int | None) -> Choice:
    """Steps of the warm-up.

    Args:
        total_steps: of the run.
        first_decay: step of the first decay, None without.
    """
    steps = min(_LONGEST_WARMUP, total_steps // 10)
    reason = f"a tenth of {_count(total_steps, 'step')}"
    if steps == _LONGEST_WARMUP < total_steps // 10:
        reason = f"the documented {_LONGEST_WARMUP}; the run has {total_steps} steps"
    elif steps == 0:
        reason = f"none in {_count(total_steps, 'step')}"
    if first_decay is not None and steps > first_decay:
        steps, reason = first_decay, f"until the first decay, after {_count(first_decay, 'step')}"
    return Choice(steps, reason)


def learning_rate(batch_size: int, optimizer: Any) -> Choice:
    """The rate for a batch.

    Linear in the batch while the noise of its gradient is what limits the rate (Goyal et al., 2017). Above
    16 images and with Adam, which divides by the gradient's own size, the square root keeps that noise as
    it is (Krizhevsky, 2014; Malladi et al., 2022).

    Args:
        optimizer: None for the built-in SGD, or the mapping that names one of ADAMS.
    """
    if optimizer is not None:
        rate = _ADAM_RATE * math.sqrt(batch_size / _USUAL_BATCH)
        reason = (
            f"{_ADAM_RATE:g} for {optimizer['name']} at batch {_USUAL_BATCH}, times the square root"
        )
        return Choice(_rounded(rate), f"{reason} of {batch_size}/{_USUAL_BATCH}")
    linear = min(batch_size, _USUAL_BATCH)
    rate = _RATE_OF_AN_IMAGE * linear * math.sqrt(batch_size / linear)
    reason = f"1/800 for each of {_count(batch_size, 'image')} of a batch"
    if batch_size > _USUAL_BATCH:
        more = f"{batch_size}/{_USUAL_BATCH}"
        reason = f"1/800 for each of {_USUAL_BATCH} images, times the square root of {more}"
    return Choice(_rounded(rate), reason)


def has_rate(optimizer: Any) -> bool:
    """Whether there is a rule for the learning rate of an optimizer."""
    return optimizer is None or (isinstance(optimizer, Mapping) and optimizer.get("name") in ADAMS)


def warmup_start_lr(rate: float) -> Choice:
    """The rate of the first step: that of the defaults, a third of the rate."""
    return Choice(_rounded(rate / 3), "a third of learning_rate, as between their defaults")


def keep_top_k(facts: DataFacts) -> Choice:
    """Detections of an image."""
    wanted = _DETECTION_STEP * math.ceil(_ROOM * facts.most_objects / _DETECTION_STEP)
    reason = f"the most crowded image has {_count(facts.most_objects, 'object')}"
    if wanted > _USUAL_DETECTIONS:
        return Choice(wanted, f"{reason}; half as many again, in steps of {_DETECTION_STEP}")
    return Choice(_USUAL_DETECTIONS, f"{reason}; {_USUAL_DETECTIONS} is the usual limit")


def steps_in(num_images: int, batch_size: int, epochs: int) -> int:
    """Steps of a run; an incomplete batch is left out of each epoch."""
    return max(1, num_images // batch_size) * epochs


def first_decay(num_images: int, batch_size: int, decays: Sequence[int]) -> int | None:
    """The step of the first decay, None without."""
    return steps_in(num_images, batch_size, decays[0]) if decays else None


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")


def _name(machine: Machine) -> str:
    return {"cuda": "GPU", "cpu": "CPU"}[machine.device]


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _time(seconds: float) -> str:
    """A time as people say it: 0.35 s, 12 s, 14.5 min, 3.2 h."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
