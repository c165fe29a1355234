"""Evaluation of a network on a data set: its detections compared with the annotations."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from ..data.datasets.base import DetectionDataset
from ..data.loader import build_test_loader
from ..data.mapper import TestMapper
from ..data.transforms import Compose
from ..metrics.evaluation import Evaluation
from ..metrics.results import ResultRows
from ..modeling.box_predictor import scores_above
from ..processes import (
    from_main,
    is_main,
    shard,
    to_main,
)
from ..progress import shown
from .detections import Detection, detect
from .network import ModelCard, Network

T = TypeVar("T")

logger = logging.getLogger(__name__)

_LOOKED_AT = 8  # images for the highest score when nothing passed the threshold; takes seconds


class Stopwatch:
    """Seconds of named parts, added up over all their turns.

    Attributes:
        seconds: part -> seconds so far.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what is done inside towards a part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[part] = self.seconds.get(part, 0.0) + spent

    def each(self, part: str, items: Iterable[T]) -> Iterator[T]:
        """The items; the time they take to come counts towards a part."""
        iterator = iter(items)
        nothing = object()  # None may be an item
        while True:
            with self.of(part):
                item = next(iterator, nothing)
            if item is nothing:
                return
            yield item  # type: ignore[misc]

    def __str__(self) -> str:
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in self.seconds.items())
        return f"{sum(self.seconds.values()):.1f} s: {parts}"


def evaluate_network(
    network: Network,
    dataset: DetectionDataset,
    transforms: Compose,
    *,
    batch_size: int = 1,
    metric: str = "COCO",
) -> Evaluation:
    """Evaluate a network, each process a part of the data; its training mode is restored afterwards.

    Every process gets the numbers; the result rows and comparisons are in the main one only.

    Args:
        network: any mode.
        dataset: held-out data.
        transforms: operators applied before the network.
        batch_size: images evaluated together; without effect on the numbers.
        metric: COCO or VOC.

    Raises:
        ValueError: when the data set has other classes than the model.
    """
    check_classes(network.card, dataset)
    training = network.module.training
    network.module.eval()
    results = ResultRows()
    watch = Stopwatch()
    try:
        images = rows_of_images(network, dataset, transforms, batch_size, watch)
        if is_main():
            rank, world = shard()
            images = shown(images, -(-(dataset.num_samples - rank) // world), "evaluating")
        for rows in images:
            for row in rows:
                results.append(row)
    finally:
        network.set_training(training)
    results = ResultRows.joined(to_main([results]))
    if not is_main():
        return from_main(None)
    with watch.of("scoring"):
        evaluation = Evaluation.of(dataset, results, metric, network.card.params.keep_top_k)
    evaluation.seconds = watch.seconds
    logger.info("Evaluated %d images in %s", dataset.num_samples, watch)
    if not evaluation.note and not results:
        evaluation.note = _why_no_detections(network, dataset, transforms)
    if evaluation.note:
        logger.warning(evaluation.note)
    # the others wait in from_main(None) above; rows and comparisons are large and only needed here
    from_main(replace(evaluation, results=ResultRows(), comparisons={}))
    return evaluation


def check_classes(card: ModelCard, dataset: DetectionDataset) -> None:
    """Raise ValueError when the data set's classes are not the model's."""
    if list(dataset.labels) != list(card.labels):
        raise ValueError(
            f"{dataset.name} has the classes {list(dataset.labels)}, "
            f"but the model knows {list(card.labels)}"
        )


def rows_of_images(
    network: Network,
    dataset: DetectionDataset,
    transforms: Compose,
    batch_size: int,
    watch: Stopwatch,
) -> Iterator[list[dict[str, Any]]]:
    """COCO result rows of each image that is this process's part, by a network in evaluation mode.

    Args:
        watch: is told the times of reading, network and masks.
    """
    pinned = network.device.type == "cuda"
    batches = _inputs(network.card, dataset, transforms, batch_size, shard(), pinned=pinned)
    for batch in watch.each("reading", batches):
        with watch.of("network"):
            detections = detect(network.module, batch)
        for image, of_image in zip(batch, detections, strict=True):
            with watch.of("masks"):
                rows = [_as_coco(image, each, dataset.category_ids) for each in of_image]
            yield rows


def _inputs(
    card: ModelCard,
    dataset: DetectionDataset,
    transforms: Compose,
    batch_size: int,
    part: tuple[int, int],
    *,
    pinned: bool = False,
) -> Iterable[list[dict[str, Any]]]:
    mapper = TestMapper(transforms, card.input_format.channel_order, card.params.input_channel)
    return build_test_loader(
        dataset,
        mapper,
        batch_size=batch_size,
        num_workers=dataset.num_workers,
        shard=part,
        pinned=pinned,
    )


def _as_coco(
    image: dict[str, Any], detection: Detection, category_ids: list[int]
) -> dict[str, Any]:
    return {
        "image_id": image["image_id"],
        "category_id": category_ids[detection.class_index],
        "bbox": detection.xywh,
        "segmentation": detection.mask.rle(image["height"], image["width"]),
        "score": detection.score,
    }


def _why_no_detections(network: Network, dataset: DetectionDataset, transforms: Compose) -> str:
    """Why there is no detection at all, after a look at what the threshold cuts off."""
    threshold = network.card.params.score_threshold
    highest = _highest_score(network, dataset, transforms)
    if highest is None:
        return (
            "AP is 0: the network finds nothing, whatever the score: its outputs are not finite "
            "or its proposals are all empty; the training has diverged"
        )
    return (
        f"AP is 0: no detection scored above score_threshold {threshold:g}; the highest score in "
        f"{min(_LOOKED_AT, dataset.num_samples)} images is {highest:.4f}; train longer, or lower "
        "the threshold to see what there is"
    )


def _highest_score(
    network: Network, dataset: DetectionDataset, transforms: Compose
) -> float | None:
    """The best score in the first images without a threshold; None when there is no box at all."""
    training = network.module.training
    network.module.eval()
    scores: list[float] = []
    try:
        with scores_above(0.0):
            batches = _inputs(network.card, dataset, transforms, 1, (0, 1))
            for batch in itertools.islice(batches, _LOOKED_AT):
                for detections in detect(network.module, batch):
                    scores += [detection.score for detection in detections]
    finally:
        network.set_training(training)
    return max(scores, default=None)
