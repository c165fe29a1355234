"""The anchors the RPN learns from, gathered for all images of a batch.

What: on a CPU the random sample of Detectron2. On a GPU a fixed number of places for each image, of
which some may stay empty, as counting a sample makes the host wait (device_copies.py).
Differences on a GPU: other random numbers, with the same chances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .image_randomness import Generators
from .samplers.slots import random_slots

# image, number and label of each of S anchors
Places = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class AnchorSample:
    """S anchors of all images together.

    Attributes:
        num_images: of the batch.
        images: (S,) number of the image of each.
        numbers: (S,) its number, counted over places, then levels, as the anchor generator does.
        labels: (S,) 1, 0 or -1 = an empty place.
        anchors: (S, 4) XYXY pixels.
        matched: (S, 4) box of the object it is matched to; anything where the label is not 1.
    """

    num_images: int
    images: torch.Tensor
    numbers: torch.Tensor
    labels: torch.Tensor
    anchors: torch.Tensor
    matched: torch.Tensor


def gather_sample(
    places: Places, anchors: torch.Tensor, matched: Sequence[torch.Tensor]
) -> AnchorSample:
    """The sample at some places of anchors (R, 4) and of the matched boxes (R, 4) of each image."""
    images, numbers, _ = places
    boxes = torch.stack([one[numbers] for one in matched])
    each = torch.arange(len(numbers), device=numbers.device)
    return AnchorSample(len(matched), *places, anchors[numbers], boxes[images, each])


def found_places(sampled: Sequence[torch.Tensor]) -> Places:
    """Where the labels (R,) of the images are not -1."""
    labels = torch.stack(list(sampled))
    images, numbers = torch.nonzero(labels >= 0, as_tuple=True)
    return images, numbers, labels[images, numbers]


def drawn_places(
    labels: Sequence[torch.Tensor],
    num_samples: int,
    positive_fraction: float,
    generators: Generators,
) -> Places:
    """A random sample of the labels (R,) 1 and 0 of each image; empty places have the label -1."""
    numbers, values = [], []
    for label, generator in zip(labels, generators, strict=True):
        slots = random_slots(None, label, num_samples, positive_fraction, 0, generator)
        for value, rows, count in zip((1, 0), slots[:2], slots.counts, strict=True):
            used = torch.arange(len(rows), device=label.device) < count
            numbers.append(rows)
            values.append(torch.where(used, value, -1))
    each = sum(map(len, numbers)) // len(labels)
    images = torch.arange(len(labels), device=labels[0].device)[:, None].expand(-1, each)
    return images.flatten(), torch.cat(numbers), torch.cat(values)
