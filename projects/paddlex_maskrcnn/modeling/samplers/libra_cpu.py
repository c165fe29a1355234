"""The Libra sample of proposals in main memory, see `libra`.

What: the same sample as `libra.sample_on_device`, on numpy views of the tensors (nothing is copied),
as torch's overhead per call is most of the time with two thousand proposals. Random numbers come
from the torch generator given, so that its seed decides.
Differences from `sample_on_device`: only foreground above its share is sorted. Of the background
each bin's number is worked out first and drawn then. Same chances, other random numbers.
"""

from __future__ import annotations

import numpy as np
import torch

BIN_EDGES = (1 / 6, 1 / 3)  # three equal bins of the IoU of background, [0, 0.5)


def sample_on_cpu(
    max_iou: torch.Tensor,
    labels: torch.Tensor,
    num_samples: int,
    max_foreground: int,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sample of tensors on the CPU: arguments and result as in `ROI_SAMPLER`."""
    iou, classes = max_iou.detach().float().numpy(), labels.numpy()
    is_background = classes == bg_label
    foreground = ((classes >= 0) > is_background).nonzero()[0]  # a > b of booleans: a and not b
    if len(foreground) > max_foreground:
        foreground = _balance_classes(foreground, classes, max_foreground, bg_label, generator)
    easy, not_hard = (iou < edge for edge in BIN_EDGES)
    masks = (is_background & easy, is_background & (not_hard > easy), is_background > not_hard)
    bins = [mask.nonzero()[0] for mask in masks]
    background = _balance_bins(bins, num_samples - len(foreground), generator)
    return torch.from_numpy(foreground), torch.from_numpy(background)


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
    indices = _draw(indices, len(indices), generator)
    # numpy sorts integers of at most 16 bits by radix, in a fifth of the time
    classes = classes[indices].astype(np.min_scalar_type(bg_label))
    order = classes.argsort(kind="stable")
    classes = classes[order]
    quota = round(num / (np.count_nonzero(classes[1:] != classes[:-1]) + 1)) + 1
    # Sorted by class, an index is beyond its class's quota if the one `quota` places before it is
    # of the same class. Those come last; everything else is left to chance.
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
        [m if len(m) == share else _draw(m, share, generator) for m, share in shares]
    )


def _draw(indices: np.ndarray, num: int, generator: torch.Generator | None) -> np.ndarray:
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
