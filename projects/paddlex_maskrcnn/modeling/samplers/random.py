"""Uniformly random proposals, the choice of Fast R-CNN (https://arxiv.org/abs/1504.08083).

What: as many foreground proposals as the fraction allows, the rest background, each drawn with the
same probability.
Origin: draws exactly what Detectron2's `modeling/sampling.py: subsample_labels` draws.
Differences: PaddleX's `BBoxAssigner` means the same but an error in its swap test makes it take
mostly the best-scored background proposals; that is not copied.
"""

from __future__ import annotations

import torch

from ..registries import ROI_SAMPLER


def split_labels(labels: torch.Tensor, bg_label: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of the foreground and of the background among labels (N,); -1 is neither."""
    foreground = torch.nonzero((labels != -1) & (labels != bg_label)).flatten()
    background = torch.nonzero(labels == bg_label).flatten()
    return foreground, background


def draw(indices: torch.Tensor, num: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """At most that many of the indices (N,), at random and in random order."""
    order = torch.randperm(len(indices), device=indices.device, generator=generator)
    return indices[order[:num]]


def random_sample(
    labels: torch.Tensor,
    num_samples: int,
    positive_fraction: float,
    bg_label: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of a uniform sample of labels (N,), foreground and background, see `ROI_SAMPLER`."""
    foreground, background = split_labels(labels, bg_label)
    num_foreground = min(len(foreground), int(num_samples * positive_fraction))
    foreground = draw(foreground, num_foreground, generator)
    return foreground, draw(background, num_samples - num_foreground, generator)


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
