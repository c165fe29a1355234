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


def draw(indices: torch.Tensor, num: int) -> torch.Tensor:
    """At most that many of the indices (N,), at random and in random order."""
    return indices[torch.randperm(len(indices), device=indices.device)[:num]]


@ROI_SAMPLER.register()
def random_sampler(
    max_iou: torch.Tensor,
    labels: torch.Tensor,
    num_samples: int,
    positive_fraction: float,
    bg_label: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Uniform sample of one image's proposals, see `ROI_SAMPLER`."""
    foreground, background = split_labels(labels, bg_label)
    num_foreground = min(len(foreground), int(num_samples * positive_fraction))
    foreground = draw(foreground, num_foreground)
    return foreground, draw(background, num_samples - num_foreground)
