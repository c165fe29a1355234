"""Balanced proposals: foreground over the classes, background over the difficulty.

What: when there is more foreground than wanted, each class gives the same number first; background
is drawn from three equal ranges of IoU over [0, 0.5), so that hard negatives, few among many easy
ones, are seen as often. What quotas leave open is filled with any others, each with one chance.
Paper: Libra R-CNN, https://arxiv.org/abs/1904.02701, section 3.1 (IoU-balanced sampling).
Origin: PaddleX 1.3 with `bbox_assigner='LibraBBoxAssigner'`, written from a description of it.
Differences from PaddleX: its ranges reach up to the best IoU of all, which is 1 as objects are
their own proposals, so the third, [2/3, 1), never holds background and the second only [1/3, 1/2).
Here they are those of the paper. The foreground share is rounded down as in `random_sampler`.
Differences from the paper: foreground is balanced over classes, as in PaddleX, not over objects.
Speed: on a GPU each step costs a launch and each size a wait, so all groups are ranked in one sort
and sizes are asked for once. On the CPU sorting everything is what costs, see `libra_cpu`.
"""

from __future__ import annotations

import torch

from ..registries import ROI_SAMPLER
from .libra_cpu import BIN_EDGES, sample_on_cpu


@ROI_SAMPLER.register()
def libra_sampler(
    max_iou: torch.Tensor,
    labels: torch.Tensor,
    num_samples: int,
    positive_fraction: float,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Balanced sample of one image's proposals, see `ROI_SAMPLER`."""
    sample = sample_on_cpu if labels.device.type == "cpu" else sample_on_device
    max_foreground = int(num_samples * positive_fraction)
    return sample(max_iou, labels, num_samples, max_foreground, bg_label, generator)


def sample_on_device(
    max_iou: torch.Tensor,
    labels: torch.Tensor,
    num_samples: int,
    max_foreground: int,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sample in torch on any device; waits for the device once, to learn the sizes."""
    order, numbers = order_on_device(
        max_iou, labels, num_samples, max_foreground, bg_label, generator
    )
    begin, num, end = numbers.tolist()
    return order[: min(begin, max_foreground)], order[begin : min(begin + num, end)]


def order_on_device(
    max_iou: torch.Tensor,
    labels: torch.Tensor,
    num_samples: int,
    max_foreground: int,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """All proposals (N,) in the order in which they are taken, and three numbers (3,) of them.

    Every proposal gets a place: foreground first, then background, then the ignored; of each,
    those within the quota of their group first; by chance beyond that. The numbers are those of the
    foreground, of the background to take, and of foreground and background together.
    """
    group, order, rank = _rank_in_groups(_groups(max_iou, labels, bg_label), generator)
    is_background, is_ignored = group >= bg_label, group < 0
    is_foreground = ~(is_background | is_ignored)
    num_foreground = is_foreground.sum()
    num_background = num_samples - num_foreground.clamp(max=max_foreground)
    num_classes = (is_foreground & (rank == 0)).sum().clamp(min=1)
    class_quota = (max_foreground / num_classes).round() + 1
    quota = torch.where(is_background, num_background // (len(BIN_EDGES) + 1), class_quota)
    chance = torch.rand(len(labels), device=labels.device, generator=generator)
    order = order[(chance + (rank >= quota) + 2 * is_background + 4 * is_ignored).argsort()]
    numbers = (num_foreground, num_background, num_foreground + is_background.sum())
    return order, torch.stack(numbers)


def _groups(max_iou: torch.Tensor, labels: torch.Tensor, bg_label: int) -> torch.Tensor:
    """Number of each proposal's group: its class, bg_label plus its bin, or -1 for the ignored."""
    bins = sum((max_iou >= edge).long() for edge in BIN_EDGES)
    return torch.where(labels == bg_label, bg_label + bins, labels)


def _rank_in_groups(
    groups: torch.Tensor, generator: torch.Generator | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Groups (N,) sorted, which proposal each is, and its rank, by chance, within its group."""
    shuffle = torch.randperm(len(groups), device=groups.device, generator=generator)
    groups, order = groups[shuffle].sort(stable=True)
    begin = torch.searchsorted(groups, groups)
    return groups, shuffle[order], torch.arange(len(groups), device=groups.device) - begin
