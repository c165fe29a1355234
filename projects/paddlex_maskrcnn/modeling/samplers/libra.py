"""Balanced proposals: foreground over the classes, background over the difficulty.

What: when there is more foreground than wanted, each class gives the same number first; background
is drawn from three equal ranges of IoU over [0, 0.5), so that hard negatives, few among many easy
ones, are seen as often.
Paper: Libra R-CNN, https://arxiv.org/abs/1904.02701, section 3.1 (IoU-balanced sampling).
Origin: PaddleX 1.3 with `bbox_assigner='LibraBBoxAssigner'`, written from a description of it.
Differences from PaddleX: its ranges reach up to the best IoU of all, which is 1 as objects are
their own proposals, so the third, [2/3, 1), never holds background and the second only [1/3, 1/2).
Here they are those of the paper. Places a range cannot fill go to the others in proportion to what
they have left, each index with the same chance, which takes no second shuffle. The foreground
share is rounded down as in `random_sampler`.
Differences from the paper: foreground is balanced over classes, as in PaddleX, not over objects.
"""

from __future__ import annotations

import torch

from ..registries import ROI_SAMPLER

BIN_EDGES = (1 / 6, 1 / 3)  # three equal bins of the IoU of background, [0, 0.5)


@ROI_SAMPLER.register()
def libra_sampler(
    max_iou: torch.Tensor,
    labels: torch.Tensor,
    num_samples: int,
    positive_fraction: float,
    bg_label: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Balanced sample of one image's proposals, see `ROI_SAMPLER`."""
    is_background = labels == bg_label
    foreground = _where((labels >= 0) > is_background)  # a > b of booleans: a and not b
    foreground = _balance_classes(foreground, labels, int(num_samples * positive_fraction))
    easy, not_hard = (max_iou < edge for edge in BIN_EDGES)
    masks = (is_background & easy, is_background & (not_hard > easy), is_background > not_hard)
    bins = [_where(mask) for mask in masks]
    return foreground, _balance_bins(bins, num_samples - len(foreground))


def _where(mask: torch.Tensor) -> torch.Tensor:
    return torch.nonzero(mask, as_tuple=True)[0]


def _draw(indices: torch.Tensor, num: int) -> torch.Tensor:
    # index_select takes a quarter of the time of indices[...], which counts here
    return indices.index_select(0, torch.randperm(len(indices), device=indices.device)[:num])


def _balance_classes(indices: torch.Tensor, labels: torch.Tensor, num: int) -> torch.Tensor:
    """At most that many of the indices (N,): a quota of each class, then any, at random.

    The quotas together are a little more than wanted; what is too much goes at random too.
    """
    if len(indices) <= num:
        return indices
    num_classes = int(torch.bincount(labels.index_select(0, indices)).count_nonzero())
    if num_classes == 1:
        return _draw(indices, num)
    quota = round(num / num_classes) + 1
    indices = _draw(indices, len(indices))
    classes, order = labels.index_select(0, indices).sort(stable=True)
    # Sorted by class, an index is beyond its class's quota if the one `quota` places before it is
    # of the same class. Those come last; everything else is left to chance.
    priority = torch.rand(len(indices), device=indices.device)
    priority[quota:].add_(classes[quota:] == classes[:-quota])
    chosen = priority.topk(num, largest=False, sorted=False).indices
    return indices.index_select(0, order.index_select(0, chosen))


def _balance_bins(bins: list[torch.Tensor], num: int) -> torch.Tensor:
    """At most that many of the indices in the bins: the same number of each, then any, at random."""
    sizes = [len(members) for members in bins]
    if sum(sizes) <= num:
        return torch.cat(bins)
    shares = zip(bins, _shares(sizes, num), strict=True)
    return torch.cat([m if len(m) == share else _draw(m, share) for m, share in shares])


def _shares(sizes: list[int], num: int) -> list[int]:
    """How many to take of each bin, `num` in all: a quota each, the rest in proportion.

    A random start rounds each share up or down with the right chance (systematic sampling).
    """
    quotas = [min(num // len(sizes), size) for size in sizes]
    left = [size - quota for size, quota in zip(sizes, quotas, strict=True)]
    num_left, num_missing = sum(left), num - sum(quotas)
    position = int(torch.randint(num_left, ()))
    shares = []
    for quota, size in zip(quotas, left, strict=True):
        begin, position = position, position + size * num_missing
        shares.append(quota + position // num_left - begin // num_left)
    return shares
