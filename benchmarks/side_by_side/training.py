"""A training step: forward, losses, backward and optimizer, on batches that are in memory.

Every contestant steps with its own trainer: ours with `engine.trainer`, Detectron2 with its
`SimpleTrainer` (`AMPTrainer`), torchvision with the loop of its reference scripts. All see the same
images and objects. torchvision gets masks as bits, which is what it takes; Detectron2 and ours get
polygons, which is what their mappers give.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from detectron2.engine import AMPTrainer, SimpleTrainer
from detectron2.solver import build_optimizer
from detectron2.structures import BitMasks
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.acceleration import PLAIN_VARIABLE
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.engine.device import DTYPES, Prefetcher, SideStream
from paddlex_maskrcnn.engine.train import build_trainer
from paddlex_maskrcnn.engine.trainer import LOSS_NAMES

from .equality import OTHERWISE_DEFINED, check_losses
from .networks import (
    LEARNING_RATE,
    SharedWeights,
    our_run,
    stock_cfg,
    stock_network,
    torchvision_s,
)
from .pictures import Pictures
from .record import Check
from .settings import LIKE_TORCHVISION, OURS, STOCK, TORCHVISION, Settings, Variant

Batch = list[dict[str, Any]]
Losses = dict[str, float]
_ALL = 10**6  # more than there are anchors or proposals in an image
NUM_BATCHES = 4  # that are stepped through again and again

_TORCHVISION_LOSSES = {
    "loss_classifier": "loss_cls",
    "loss_box_reg": "loss_bbox",
    "loss_mask": "loss_mask",
    "loss_objectness": "loss_rpn_cls",
    "loss_rpn_box_reg": "loss_rpn_bbox",
}


def built_plain() -> AbstractContextManager[Any]:
    """Networks of ours that are built in this block compute Detectron2's way."""
    return mock.patch.dict(os.environ, {PLAIN_VARIABLE: "1"})


class Stepper:
    """Takes training steps of one contestant; the first one on random numbers that all share.

    Attributes:
        step: takes one.
        losses: of the last step, under our names.
    """

    def __init__(self, step: Callable[[], None], losses: Callable[[], Losses]) -> None:
        self.step, self.losses = step, losses

    def first_losses(self) -> Losses:
        """Take the first step from a fixed seed; its losses."""
        torch.manual_seed(1)
        self.step()
        return self.losses()


def steppers(
    pictures: Pictures, weights: SharedWeights, settings: Settings
) -> dict[str, Callable[[], Stepper]]:
    """Contestant -> what builds it."""
    batches = read_batches(pictures, weights, settings)
    builders: dict[str, Callable[[], Stepper]] = {
        OURS: lambda: ours(weights.ours, batches, pictures, settings),
        STOCK: lambda: stock(weights, batches, settings),
        LIKE_TORCHVISION: lambda: ours(weights.like_torchvision, batches, pictures, settings),
        TORCHVISION: lambda: torchvision_stepper(weights, batches, settings),
    }
    for variant in variants(settings):
        builders[variant.name] = partial(ours, weights.ours, batches, pictures, settings, variant)
    if settings.amp != "off" and settings.device == "cuda":  # Detectron2 has it there only
        builders[f"{STOCK} {settings.amp}"] = lambda: stock(
            weights, batches, settings, settings.amp
        )
    return builders


def checks(
    builders: Mapping[str, Callable[[], Stepper]],
    steppers: Mapping[str, Stepper],
    *,
    exact: float = 0.0,
    leave_out: Sequence[str] = OTHERWISE_DEFINED,
) -> list[Check]:
    """Losses of the first step: in Detectron2's way of computing they are its very bits.

    Args:
        exact: largest relative difference in Detectron2's way.
        leave_out: losses that torchvision defines in another way.
    """
    losses = {name: stepper.first_losses() for name, stepper in steppers.items()}
    with built_plain():
        plain = builders[OURS]().first_losses()
    like, theirs = losses[LIKE_TORCHVISION], losses[TORCHVISION]
    title = "losses of the first step"
    return [
        check_losses(f"{title}, {STOCK}, plain path", plain, losses[STOCK], tolerance=exact),
        check_losses(f"{title}, {STOCK}, as timed", losses[OURS], losses[STOCK]),
        check_losses(f"{title}, {TORCHVISION}", like, theirs, leave_out=leave_out),
    ]


def checks_of_all_samples(
    pictures: Pictures, weights: SharedWeights, settings: Settings
) -> list[Check]:
    """`checks` with every anchor and proposal in the losses: on a GPU ours draws other samples.

    A GPU may also add in any order. Detectron2 divides the RPN's losses by the number of anchors that were
    asked for, torchvision by those that were there.
    """
    everything = replace(settings, regions=_ALL, anchors=_ALL, variants=(), amp="off")
    builders = steppers(pictures, weights, everything)
    left_out = (*OTHERWISE_DEFINED, "loss_rpn_cls", "loss_rpn_bbox")
    made = {name: build() for name, build in builders.items()}
    return checks(builders, made, exact=1e-4, leave_out=left_out)


def variants(settings: Settings) -> list[Variant]:
    """Further ways to run ours, the one that --amp asks for first."""
    of_amp = [Variant(f"{OURS} {settings.amp}", train={"amp": settings.amp})]
    return (of_amp if settings.amp != "off" else []) + list(settings.variants)


def pairs(settings: Settings) -> list[tuple[str, str]]:
    """Who is compared with whom."""
    pairs = [(OURS, STOCK), (LIKE_TORCHVISION, TORCHVISION)]
    for variant in variants(settings):
        pairs += [(variant.name, STOCK), (variant.name, OURS)]
    if settings.amp != "off":
        pairs.append((f"{OURS} {settings.amp}", f"{STOCK} {settings.amp}"))
    return pairs


def read_batches(pictures: Pictures, weights: SharedWeights, settings: Settings) -> list[Batch]:
    """A few batches as the loader of ours gives them."""
    run = our_run(weights.ours, pictures.dataset(augmented(settings)), settings)
    return list(itertools.islice(run.batches(), NUM_BATCHES))


def augmented(settings: Settings) -> transforms.Compose:
    """Mirroring and resizing, for training."""
    resize = transforms.ResizeByShort(settings.size, settings.longest)
    flip = transforms.RandomHorizontalFlip()
    return transforms.Compose([flip, transforms.Normalize(), resize])


def endless(batches: list[Batch]) -> Iterator[Batch]:
    """The batches over and over; the first one without seeds of its own, so that all draw alike."""
    yield [{key: sample[key] for key in sample if key != "sample_seed"} for sample in batches[0]]
    yield from itertools.cycle(batches)


def steps_of_a_turn(settings: Settings) -> int:
    """Steps that are timed together: on a GPU all batches, on a CPU, where a step takes seconds, one."""
    return NUM_BATCHES if settings.device == "cuda" else 1


def warm_up_turns(settings: Settings) -> int:
    """Turns that do not count: where the first step of each shape is slow, two of each batch."""
    compiled = any(variant.train.get("compile") for variant in settings.variants)
    steps = 2 * NUM_BATCHES if compiled or settings.device == "cuda" else 1
    return steps // steps_of_a_turn(settings)


def turns_of(steppers: Mapping[str, Stepper], settings: Settings) -> dict[str, Callable[[], None]]:
    """Contestant -> the steps of a turn."""

    def take(step: Callable[[], None]) -> None:
        for _ in range(steps_of_a_turn(settings)):
            step()

    return {name: partial(take, stepper.step) for name, stepper in steppers.items()}


def ours(
    weights: Path,
    batches: list[Batch],
    pictures: Pictures,
    settings: Settings,
    variant: Variant | None = None,
) -> Stepper:
    """The engine's own trainer."""
    run = our_run(weights, pictures.dataset(augmented(settings)), settings, variant)
    trainer = build_trainer(run, _sent_ahead(endless(batches), run.network.device))
    run.network.set_training()

    def step() -> None:
        with EventStorage():
            trainer.run_step()

    def losses() -> Losses:
        losses = dict(run.progress.records[-1].losses)
        del losses["loss"]
        return losses

    return Stepper(step, losses)


def _sent_ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """As `engine.train` gives batches to its trainer."""
    if device.type != "cuda":
        return batches
    return Prefetcher(batches, SideStream(device), sys.maxsize)


def stock(
    weights: SharedWeights, batches: list[Batch], settings: Settings, amp: str = "off"
) -> Stepper:
    """Detectron2's trainer with its optimizer."""
    network = stock_network(weights, settings)
    optimizer = build_optimizer(stock_cfg(settings, weights.num_classes), network)
    loader: Any = endless(batches)
    if amp == "off":
        trainer = SimpleTrainer(network, loader, optimizer)
    else:
        trainer = AMPTrainer(network, loader, optimizer, precision=DTYPES[amp])
    trainer.iter = 0
    seen: Losses = {}

    def step() -> None:
        with EventStorage() as storage:
            trainer.run_step()
            seen.update({name: value for name, (value, _) in storage.latest().items()})

    def losses() -> Losses:
        parts = {name: value for name, value in seen.items() if name.startswith("loss_")}
        return {LOSS_NAMES.get(name, name): value for name, value in parts.items()}

    return Stepper(step, losses)


def torchvision_stepper(
    weights: SharedWeights, batches: list[Batch], settings: Settings
) -> Stepper:
    """The loop of references/detection/engine.py: it, too, reads the losses in every step."""
    network = torchvision_s(weights, settings, training=True)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=0.9, weight_decay=1e-4)
    loader = itertools.cycle([torchvision_batch(batch) for batch in batches])
    seen: Losses = {}

    def step() -> None:
        images, targets = next(loader)
        images = [image.to(settings.device) for image in images]
        targets = [{key: t.to(settings.device) for key, t in target.items()} for target in targets]
        parts = network(images, targets)
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        seen.update({_TORCHVISION_LOSSES[name]: part.item() for name, part in parts.items()})

    return Stepper(step, lambda: seen)


def torchvision_batch(batch: Batch) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """A batch in torchvision's form: images in [0, 1], labels from 1, masks as bits."""
    targets = []
    for sample in batch:
        objects = sample["instances"]
        masks = BitMasks.from_polygon_masks(objects.gt_masks, *objects.image_size)
        targets.append(
            {
                "boxes": objects.gt_boxes.tensor,
                "labels": objects.gt_classes + 1,
                "masks": masks.tensor.to(torch.uint8),
            }
        )
    return [sample["image"].float() / 255 for sample in batch], targets
