"""Samples for a GPU: as many places as a sample can need, the number of those used stays there.

What: a sampler of `ROI_SAMPLER` returns indices, whose number the host has to wait for, for each image
anew. Here the sample of each image is drawn without waiting, and the numbers are read later, for all.
Differences from the samplers: same chances, other random numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .libra import order_on_device


class Slots(NamedTuple):
    """Indices of the chosen in places of which the first ones are used.

    Attributes:
        foreground: (F,).
        background: (B,).
        counts: (2,) how many of the foreground and of the background are used.
    """

    foreground: torch.Tensor
    background: torch.Tensor
    counts: torch.Tensor


def random_slots(
    max_iou: torch.Tensor | None,
    labels: torch.Tensor,
    num_samples: int,
    positive_fraction: float,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> Slots:
    """The sample of `random_sampler`, whose arguments these are."""
    chance = torch.rand(len(labels), device=labels.device, generator=generator)
    is_background = labels == bg_label
    is_foreground = (labels != -1) & ~is_background
    foreground, num_foreground = _draw(
        is_foreground, chance, min(int(num_samples * positive_fraction), len(labels))
    )
    background, num_background = _draw(is_background, chance, min(num_samples, len(labels)))
    num_background = torch.minimum(num_background, num_samples - num_foreground)
    return Slots(foreground, background, torch.stack([num_foreground, num_background]))


def _draw(
    wanted: torch.Tensor, chance: torch.Tensor, num: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Places (num,) of which the first ones are wanted, and how many those are."""
    values, places = torch.where(wanted, chance, -1.0).topk(num)
    return places, (values >= 0).sum()


def libra_slots(
    max_iou: torch.Tensor,
    labels: torch.Tensor,
    num_samples: int,
    positive_fraction: float,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> Slots:
    """The sample of `libra_sampler`, whose arguments these are."""
    most = int(num_samples * positive_fraction)
    order, numbers = order_on_device(max_iou, labels, num_samples, most, bg_label, generator)
    num_foreground, num_background, end = numbers.unbind()
    places = torch.arange(min(num_samples, len(order)), device=order.device) + num_foreground
    background = order[places.clamp(max=max(0, len(order) - 1))]
    counts = [
        num_foreground.clamp(max=most),
        torch.minimum(num_background, end - num_foreground),
    ]
    return Slots(order[:most], background, torch.stack(counts))
