"""Choosing the proposals the second stage is trained on: the functions of the registry `ROI_SAMPLER`.

What: `random_sampler` draws uniformly, as Fast R-CNN (https://arxiv.org/abs/1504.08083) does;
`libra_sampler` balances foreground over the classes and background over its difficulty, as Libra R-CNN
(https://arxiv.org/abs/1904.02701, section 3.1) does.
Origin: `random_sampler` draws exactly what Detectron2's `modeling/sampling.py: subsample_labels`
draws; `libra_sampler` is PaddleX 1.3's `LibraBBoxAssigner`, written from a description of it.
Differences from PaddleX: an error in the swap test of its `BBoxAssigner` makes it take mostly the
best-scored background proposals; that is not copied. Its Libra ranges reach up to the best IoU of all,
which is 1 as objects are their own proposals, so that the third, [2/3, 1), never holds background and
the second only [1/3, 1/2); here they are the paper's. Both round the foreground share down.
Difference from the Libra paper: foreground is balanced over classes, as in PaddleX, not over objects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch

from .registries import ROI_SAMPLER

BIN_EDGES = (1 / 6, 1 / 3)  # three equal bins of the IoU of background, [0, 0.5)

# One generator an image of the batch that is being processed. A context variable, as the samples are
# drawn deep inside Detectron2's methods, whose arguments are fixed.
_generators: ContextVar[Sequence[torch.Generator | None]] = ContextVar("generators", default=())


@contextlib.contextmanager
def image_generators(
    batched_inputs: Sequence[dict[str, Any]], device: torch.device
) -> Iterator[None]:
    """Anchors and proposals of each image are drawn from a generator of its own in this block.

    An input dict may bring `sample_seed` (an int) for it: the training of a given seed is then the same
    with one process or several, in one pass or in accumulated parts, and after a resume. Images
    without draw from torch's global generator, as in Detectron2.
    """
    token = _generators.set(
        [
            torch.Generator(device).manual_seed(x["sample_seed"]) if "sample_seed" in x else None
            for x in batched_inputs
        ]
    )
    try:
        yield
    finally:
        _generators.reset(token)


def generator_of(image: int) -> torch.Generator | None:
    """What to draw from for that image of the batch; None is torch's global generator."""
    generators = _generators.get()
    return generators[image] if generators else None


@ROI_SAMPLER.register()
def random_sampler(
    max_iou: torch.Tensor,
    labels: torch.Tensor,
    num_samples: int,
    positive_fraction: float,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Uniform sample of one image's proposals, see `ROI_SAMPLER`."""
    return random_sample(labels, num_samples, positive_fraction, bg_label, generator)


def random_sample(
    labels: torch.Tensor,
    num_samples: int,
    positive_fraction: float,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of a uniform sample of labels (N,), foreground and background, see `ROI_SAMPLER`.

    As many foreground labels as the fraction allows, the rest background, each with the same
    probability; -1 is neither.
    """
    foreground = torch.nonzero((labels != -1) & (labels != bg_label)).flatten()
    background = torch.nonzero(labels == bg_label).flatten()
    num_foreground = min(len(foreground), int(num_samples * positive_fraction))
    foreground = _draw(foreground, num_foreground, generator)
    return foreground, _draw(background, num_samples - num_foreground, generator)


def _draw(indices: torch.Tensor, num: int, generator: torch.Generator | None) -> torch.Tensor:
    """At most that many of the indices (N,), at random and in random order."""
    order = torch.randperm(len(indices), device=indices.device, generator=generator)
    return indices[order[:num]]


@ROI_SAMPLER.register()
def libra_sampler(
    max_iou: torch.Tensor,
    labels: torch.Tensor,
    num_samples: int,
    positive_fraction: float,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Balanced sample of one image's proposals, see `ROI_SAMPLER`.

    When there is more foreground than wanted, each class gives the same number first. Background is
    drawn from three equal ranges of IoU, so that hard negatives, few among many easy ones, are seen
    as often. What quotas leave open is filled with any others, each with one chance.
    """
    # In numpy, on views of the tensors: with two thousand proposals torch's overhead of each call
    # would be most of the time, 4 to 8 times that of `random_sampler`. On a GPU the two rows are
    # copied to the host for it.
    random = _host_generator(generator)
    iou, classes = max_iou.detach().float().cpu().numpy(), labels.cpu().numpy()
    max_foreground = int(num_samples * positive_fraction)
    is_background = classes == bg_label
    foreground = ((classes >= 0) > is_background).nonzero()[0]  # a > b of booleans: a and not b
    if len(foreground) > max_foreground:
        foreground = _balance_classes(foreground, classes, max_foreground, bg_label, random)
    easy, not_hard = (iou < edge for edge in BIN_EDGES)
    masks = (is_background & easy, is_background & (not_hard > easy), is_background > not_hard)
    bins = [mask.nonzero()[0] for mask in masks]
    background = _balance_bins(bins, num_samples - len(foreground), random)
    return (
        torch.from_numpy(foreground).to(labels.device),
        torch.from_numpy(background).to(labels.device),
    )


def _host_generator(generator: torch.Generator | None) -> torch.Generator | None:
    """A generator on the CPU, for one on a GPU a new one with a seed drawn from it."""
    if generator is None or generator.device.type == "cpu":
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator().manual_seed(int(seed))


def _balance_classes(
    indices: np.ndarray,
    classes: np.ndarray,
    num: int,
    bg_label: int,
    generator: torch.Generator | None,
) -> np.ndarray:
    """That many of the indices (N,), fewer than N: a quota of each class, then any, at random.

    The quotas together are a little more than wanted; what is too much goes at random too.
    """
    indices = _shuffled(indices, len(indices), generator)
    # numpy sorts integers of at most 16 bits by radix, in a fifth of the time
    classes = classes[indices].astype(np.min_scalar_type(bg_label))
    order = classes.argsort(kind="stable")
    classes = classes[order]
    quota = round(num / (np.count_nonzero(classes[1:] != classes[:-1]) + 1)) + 1
    # Sorted by class, an index is beyond its class's quota if the one `quota` positions before it
    # is of the same class. Those come last; everything else is left to chance.
    priority = torch.rand(len(indices), generator=generator).numpy()
    priority[quota:] += classes[quota:] == classes[:-quota]
    return indices[order[priority.argpartition(num)[:num]]]


def _balance_bins(
    bins: list[np.ndarray], num: int, generator: torch.Generator | None
) -> np.ndarray:
    """At most that many of the indices in the bins: the same number of each, then any, at random."""
    sizes = [len(members) for members in bins]
    if sum(sizes) <= num:
        return np.concatenate(bins)
    shares = zip(bins, _shares(sizes, num, generator), strict=True)
    return np.concatenate(
        [m if len(m) == share else _shuffled(m, share, generator) for m, share in shares]
    )


def _shuffled(indices: np.ndarray, num: int, generator: torch.Generator | None) -> np.ndarray:
    return indices[torch.randperm(len(indices), generator=generator).numpy()[:num]]


def _shares(sizes: list[int], num: int, generator: torch.Generator | None) -> list[int]:
    """How many to take of each bin, `num` in all: a quota each, the rest in proportion.

    A random start rounds each share up or down with the right chance (systematic sampling).
    """
    quotas = [min(num // len(sizes), size) for size in sizes]
    left = [size - quota for size, quota in zip(sizes, quotas, strict=True)]
    num_left, num_missing = sum(left), num - sum(quotas)
    position = int(torch.randint(num_left, (), generator=generator))
    shares = []
    for quota, size in zip(quotas, left, strict=True):
        begin, position = position, position + size * num_missing
        shares.append(quota + position // num_left - begin // num_left)
    return shares
