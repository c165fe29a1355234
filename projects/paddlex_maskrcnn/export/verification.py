"""Does an exported file find what the network finds?

What: both see the same images; boxes, scores, classes and masks of all objects are compared. An object
that only one of them has is accepted in one case: when PyTorch itself loses or gains it after the pixels
have moved by a hundredth of a grey level. NMS and top-k choose, and where rounding decides between two
boxes any two programs may choose differently; such objects are counted and told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from detectron2.modeling import GeneralizedRCNN

from ..modeling.box_predictor import scores_above
from .matching import Differences, Found, match, nearest

TOLERANCE = 1e-3
ENOUGH = 10  # objects; the score threshold is lowered until so many are compared
MOST_ON_EDGE = 0.1  # share of objects that rounding may decide about

_LOWERED = (1.0, 0.3, 0.1, 0.01, 0.0)  # times the model's own threshold
_NUDGE = 4e-5  # of the image's range: 0.01 of 255
_NUDGES = 6


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
    threshold, expected = _expected(reference, [one for _, one in inputs])
    report = Report(threshold, len(inputs))
    for (name, one), first in zip(inputs, expected, strict=True):
        second = Found(*runner(one["image"].float(), threshold))
        nudged = _Nudged(reference, one, threshold, tolerance)
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
    def __call__(self, one: dict[str, Any], threshold: float) -> Found:
        with scores_above(threshold):
            [found] = self._module.inference([one], do_postprocess=False)
        tensors = found.pred_boxes.tensor, found.scores, found.pred_classes, found.pred_masks[:, 0]
        return Found(*[tensor.numpy() for tensor in tensors])


class _Nudged:
    """PyTorch's objects of an image again, after its pixels have moved a little; made when needed."""

    def __init__(
        self, reference: _Reference, one: dict[str, Any], threshold: float, tolerance: float
    ) -> None:
        self._reference, self._one, self._threshold = reference, one, threshold
        self.tolerance = tolerance
        self._found: list[Found] = []

    def __iter__(self) -> Iterator[Found]:
        yield from self._found
        while len(self._found) < _NUDGES:
            generator = torch.Generator().manual_seed(len(self._found))
            image = self._one["image"].float()
            noise = torch.rand(image.shape, generator=generator) * 2 - 1
            image = image + noise * _NUDGE * (image.max() - image.min()).clamp(min=1)
            self._found.append(self._reference({**self._one, "image": image}, self._threshold))
            yield self._found[-1]

    def lose(self, one: int, found: Found) -> bool:
        """Whether an object is missing once."""
        return any(one in match(found, other, self.tolerance).alone for other in self)

    def have(self, one: int, found: Found) -> bool:
        """Whether an object is there once."""
        return any(one not in match(found, other, self.tolerance).alone for other in self)


def _compare(
    report: Report, name: str, other: str, first: Found, second: Found, nudged: _Nudged
) -> None:
    """Add one image to the report."""
    matched = match(first, second, nudged.tolerance)
    report.objects += len(matched.pairs)
    report.differences.widen(matched.differences)
    lost = [one for one in matched.alone if not nudged.lose(one, first)]
    gained = [one for one in matched.others_alone if not nudged.have(one, second)]
    report.on_edge += len(matched.alone) + len(matched.others_alone) - len(lost) - len(gained)
    report.wrong += [f"{name}: only PyTorch has {nearest(one, first, second)}" for one in lost]
    report.wrong += [f"{name}: only {other} has {nearest(one, second, first)}" for one in gained]


def _expected(reference: _Reference, inputs: Sequence[dict[str, Any]]) -> tuple[float, list[Found]]:
    """The highest threshold from which there is enough to compare, and what is found with it.

    Raises:
        ValueError: when there is nothing at all.
    """
    thresholds = dict.fromkeys(reference.threshold * factor for factor in _LOWERED)
    for threshold in thresholds:
        found = [reference(one, threshold) for one in inputs]
        if sum(map(len, found)) >= ENOUGH:
            break
    if not sum(map(len, found)):
        raise ValueError(
            "the network finds nothing on the images, whatever the score threshold, so that nothing "
            "can be compared; give images with objects by --images, or export a trained model"
        )
    return threshold, found
