"""Does an exported file find what the network finds?

Both see the same images, the user's or drawn ones of several shapes; boxes, scores, classes and masks of
all objects are compared. An object that only one of them has is accepted in one case: when PyTorch itself
loses or gains it after the pixels have moved by a hundredth of a grey level. NMS and top-k choose, and
where rounding decides between two boxes any two programs may choose differently; such objects are counted
and reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from detectron2.modeling import GeneralizedRCNN

from ..data.datasets.drawn import draw_scene
from ..data.mapper import TestMapper
from ..data.transforms import Compose
from ..data.transforms.resize import width_and_height
from ..inference.network import ModelCard
from ..modeling.box_predictor import scores_above

PIXELS = 100  # of a box's coordinates for each 1 of a score: at 0.001 a tenth of a pixel

TOLERANCE = 1e-3
ENOUGH = 10  # objects; the score threshold is lowered until so many are compared
MOST_ON_EDGE = 0.1  # share of objects that rounding may decide about
_LOWERED = (1.0, 0.3, 0.1, 0.01, 0.0)  # times the model's own threshold
_NUDGE = 4e-5  # of the image's range: 0.01 of 255
_NUDGES = 6
MOST = 16  # pictures of a folder that are looked at
_SIZES = ((480, 640), (640, 480), (240, 720), (512, 512), (203, 157))  # height, width


@dataclass
class Objects:
    """Objects of one image, best first.

    Attributes:
        boxes: (N, 4) XYXY pixels of the network's input.
        scores: (N,).
        labels: (N,).
        masks: (N, M, M) probabilities.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


@dataclass
class Differences:
    """Largest differences between objects that are the same: pixels, and parts of 1."""

    box: float = 0.0
    score: float = 0.0
    mask: float = 0.0

    def widen(self, other: Differences) -> None:
        """Take over what is larger in another."""
        self.box = max(self.box, other.box)
        self.score = max(self.score, other.score)
        self.mask = max(self.mask, other.mask)

    def __str__(self) -> str:
        return f"boxes {self.box:.2g} pixels, scores {self.score:.2g}, masks {self.mask:.2g}"


@dataclass
class Match:
    """Two results compared.

    Attributes:
        pairs: (index in the first, index in the second) of the same objects.
        alone, others_alone: indices of those without a counterpart in the first, in the second.
        differences: of the pairs.
    """

    pairs: list[tuple[int, int]]
    alone: list[int]
    others_alone: list[int]
    differences: Differences = field(default_factory=Differences)


def match(first: Objects, second: Objects, tolerance: float) -> Match:
    """Pair objects of one class whose scores and masks differ by no more than the tolerance.

    Boxes may differ by PIXELS times it. Pairs are made from the closest on; each object is in one.
    """
    distance = _distances(first, second, tolerance)
    pairs: list[tuple[int, int]] = []
    while distance.size and distance.min() <= 1:
        row, column = np.unravel_index(distance.argmin(), distance.shape)
        pairs.append((int(row), int(column)))
        # both are taken
        distance[row], distance[:, column] = np.inf, np.inf
    rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
    return Match(
        pairs,
        [index for index in range(len(first)) if index not in rows],
        [index for index in range(len(second)) if index not in columns],
        _largest(first, second, pairs),
    )


def nearest(index: int, of: Objects, among: Objects) -> str:
    """What an object without a counterpart is like, for a message."""
    description = (
        f"class {of.labels[index]}, score {of.scores[index]:.4f}, box {_rounded(of.boxes[index])}"
    )
    rows = np.flatnonzero(among.labels == of.labels[index])
    if not len(rows):
        return f"{description}; the other has none of this class"
    row = rows[np.abs(among.boxes[rows] - of.boxes[index]).max(axis=1).argmin()]
    return f"{description}; nearest score {among.scores[row]:.4f}, box {_rounded(among.boxes[row])}"


def _distances(first: Objects, second: Objects, tolerance: float) -> np.ndarray:
    """(N, M): 1 is as far apart as allowed, infinite for other classes."""
    boxes = np.abs(first.boxes[:, None] - second.boxes[None]).max(axis=2, initial=0) / PIXELS
    scores = np.abs(first.scores[:, None] - second.scores[None])
    distance = np.maximum(boxes, scores) / tolerance
    distance[first.labels[:, None] != second.labels[None]] = np.inf
    # masks of the pairs that are still possible: all of them would be N x M x pixels
    for row, column in np.argwhere(distance <= 1):
        masks = _mask_difference(first, second, row, column) / tolerance
        distance[row, column] = max(distance[row, column], masks)
    # the least of numbers among which one is nan is nan, and the search for pairs would end
    return np.where(np.isnan(distance), np.inf, distance)


def _mask_difference(first: Objects, second: Objects, row: int, column: int) -> float:
    return float(np.abs(first.masks[row] - second.masks[column]).max(initial=0))


def _largest(first: Objects, second: Objects, pairs: Sequence[tuple[int, int]]) -> Differences:
    largest = Differences()
    for row, column in pairs:
        box = float(np.abs(first.boxes[row] - second.boxes[column]).max())
        score = float(abs(first.scores[row] - second.scores[column]))
        largest.widen(Differences(box, score, _mask_difference(first, second, row, column)))
    return largest


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(side), 2) for side in box]


class Runner(Protocol):
    """An exported file, opened."""

    name: str

    def __call__(self, image: torch.Tensor, threshold: float) -> list[np.ndarray]:
        """Boxes, scores, labels, masks."""


@dataclass
class Report:
    """What a verification has seen.

    Attributes:
        threshold: score from which objects were compared.
        images, objects: how many.
        on_edge: objects that only one had and PyTorch does not hold on to either.
        differences: largest ones between all others.
        wrong: sentences on objects that only one of them has; empty when all is well.
    """

    threshold: float
    images: int = 0
    objects: int = 0
    on_edge: int = 0
    differences: Differences = field(default_factory=Differences)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        compared = f"{self.objects} objects on {self.images} images, scores from {self.threshold:g}"
        edge = f"; {self.on_edge} more are decided by rounding, in PyTorch too" * bool(self.on_edge)
        return f"compared {compared}: largest differences {self.differences}{edge}"


def verify(
    module: GeneralizedRCNN,
    inputs: Sequence[tuple[str, dict[str, Any]]],
    runner: Runner,
    tolerance: float = TOLERANCE,
) -> Report:
    """Compare an exported file with the network it was made of.

    Args:
        module: in evaluation mode, on the CPU.
        inputs: name and Detectron2 input dict of each image.
        tolerance: of scores and mask probabilities; a box may differ by a hundred times as many pixels.

    Raises:
        ValueError: when the network finds nothing that could be compared.
    """
    reference = _Reference(module)
    threshold, expected = _expected(reference, [sample for _, sample in inputs])
    report = Report(threshold, len(inputs))
    for (name, sample), first in zip(inputs, expected, strict=True):
        second = Objects(*runner(sample["image"].float(), threshold))
        nudged = _Nudged(reference, sample, threshold, tolerance)
        _compare(report, name, runner.name, first, second, nudged)
    if report.on_edge > MOST_ON_EDGE * (report.objects + report.on_edge):
        report.wrong.append(
            f"{report.on_edge} objects are decided by rounding, too many to call the rest a comparison"
        )
    return report


class _Reference:
    """PyTorch's objects of an image."""

    def __init__(self, module: GeneralizedRCNN) -> None:
        self._module = module
        self.threshold = module.roi_heads.box_predictor.test_score_thresh

    @torch.no_grad()
    def __call__(self, sample: dict[str, Any], threshold: float) -> Objects:
        with scores_above(threshold):
            [instances] = self._module.inference([sample], do_postprocess=False)
        tensors = (
            instances.pred_boxes.tensor,
            instances.scores,
            instances.pred_classes,
            instances.pred_masks[:, 0],
        )
        return Objects(*[tensor.numpy() for tensor in tensors])


class _Nudged:
    """PyTorch's objects of an image again, after its pixels have moved a little; made when needed."""

    def __init__(
        self, reference: _Reference, sample: dict[str, Any], threshold: float, tolerance: float
    ) -> None:
        self._reference, self._sample, self._threshold = reference, sample, threshold
        self.tolerance = tolerance
        self._results: list[Objects] = []

    def __iter__(self) -> Iterator[Objects]:
        yield from self._results
        while len(self._results) < _NUDGES:
            # a seed for each: another run of the same export decides the same
            generator = torch.Generator().manual_seed(len(self._results))
            image = self._sample["image"].float()
            noise = torch.rand(image.shape, generator=generator) * 2 - 1
            image = image + noise * _NUDGE * (image.max() - image.min()).clamp(min=1)
            self._results.append(self._reference({**self._sample, "image": image}, self._threshold))
            yield self._results[-1]

    def lose(self, index: int, objects: Objects) -> bool:
        """Whether an object is missing once."""
        return any(index in match(objects, other, self.tolerance).alone for other in self)

    def have(self, index: int, objects: Objects) -> bool:
        """Whether an object is there once."""
        return any(index not in match(objects, other, self.tolerance).alone for other in self)


def _compare(
    report: Report, name: str, other: str, first: Objects, second: Objects, nudged: _Nudged
) -> None:
    """Add one image to the report."""
    matched = match(first, second, nudged.tolerance)
    report.objects += len(matched.pairs)
    report.differences.widen(matched.differences)
    lost = [index for index in matched.alone if not nudged.lose(index, first)]
    gained = [index for index in matched.others_alone if not nudged.have(index, second)]
    report.on_edge += len(matched.alone) + len(matched.others_alone) - len(lost) - len(gained)
    report.wrong += [f"{name}: only PyTorch has {nearest(index, first, second)}" for index in lost]
    report.wrong += [
        f"{name}: only {other} has {nearest(index, second, first)}" for index in gained
    ]


def _expected(
    reference: _Reference, inputs: Sequence[dict[str, Any]]
) -> tuple[float, list[Objects]]:
    """The highest threshold from which there is enough to compare, and what is found with it.

    Raises:
        ValueError: when there is nothing at all.
    """
    thresholds = dict.fromkeys(reference.threshold * factor for factor in _LOWERED)
    for threshold in thresholds:
        results = [reference(sample, threshold) for sample in inputs]
        if sum(map(len, results)) >= ENOUGH:
            break
    if not sum(map(len, results)):
        raise ValueError(
            "the network finds nothing on the images, whatever the score threshold, so that nothing "
            "can be compared; give images with objects by --images, or export a trained model"
        )
    return threshold, results


_GREY, _CONTRAST = 128, 64  # of a drawn scene, about


def inputs_of(
    card: ModelCard, transforms: Compose, files: Sequence[Path] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """Name and network input of each image.

    Args:
        card: of the model.
        transforms: applied before the network.
        files: pictures; without any, scenes are drawn.

    Raises:
        ValueError: for a picture that cannot be read.
    """
    order, channels = card.input_format.channel_order, card.params.input_channel
    mapper = TestMapper(transforms, order, channels)
    if files:
        chosen = _spread(files)
        return [(str(path), mapper(mapper.pixels(path))) for path in chosen]
    return [
        (f"drawn {width}x{height}", mapper(_drawn(card, height, width)))
        for height, width in _sizes(transforms)
    ]


def _sizes(transforms: Compose) -> list[tuple[int, int]]:
    """(height, width) of the scenes, none larger than what the images are padded to."""
    target = transforms.padding.target_size if transforms.padding else None
    if target is None:
        return list(_SIZES)
    width, height = width_and_height(target)
    return [(min(height, own_height), min(width, own_width)) for own_height, own_width in _SIZES]


def _spread(files: Sequence[Path]) -> list[Path]:
    """At most MOST of them, from the first to the last."""
    positions = np.linspace(0, len(files) - 1, min(MOST, len(files)))
    return [files[round(position)] for position in positions]


def _drawn(card: ModelCard, height: int, width: int) -> np.ndarray:
    """A scene with as many channels as the network wants and the brightness it was trained with."""
    rng = np.random.default_rng([height, width])
    scene, _ = draw_scene(rng, 0, (max(height, width),) * 2)
    scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA)
    channels, form = card.params.input_channel, card.input_format
    if channels == 3 and max(form.pixel_mean) < 256:
        return scene
    mixed = scene.astype(np.float32) @ rng.dirichlet((1, 1, 1), channels).T.astype(np.float32)
    spread = np.array(form.pixel_std if form.scaled else [_CONTRAST] * channels, np.float32)
    image = np.array(form.pixel_mean, np.float32) + (mixed - _GREY) / _CONTRAST * spread
    return np.clip(image, 0, None).astype(np.float32)
