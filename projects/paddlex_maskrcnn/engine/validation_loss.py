"""The training loss on held-out data, which rises while that on the training data falls: overfitting."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.utils.events import EventStorage
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..data.datasets.base import DetectionDataset
from ..data.loader import build_loss_loader
from ..data.mapper import TrainMapper
from ..data.transforms import Compose
from ..inference.network import Network
from ..modeling.losses import local_losses
from ..processes import mean_of_all, shard
from .compiled import uncompiled
from .trainer import LOSS_NAMES


@torch.no_grad()
def validation_losses(
    network: Network, dataset: DetectionDataset, transforms: Compose, seed: int
) -> dict[str, float]:
    """Mean over the images of `val_loss` and its parts; the same anchors and proposals every time.

    Args:
        transforms: operators, their random ones left out.
        seed: of the choice of anchors and proposals.
    """
    card = network.card
    mapper = TrainMapper(
        transforms.deterministic(),
        card.input_format.channel_order,
        card.params.input_channel,
        seed,
        reads_reduced=False,
    )
    pinned = network.device.type == "cuda"
    batches = build_loss_loader(dataset, mapper, shard(), pinned=pinned)
    training = network.module.training
    _compute_losses_only(network.module)
    try:
        # a storage of its own: Detectron2's heads log counts, which must not mix with those of training
        with EventStorage(), local_losses(), uncompiled():
            rows = [_losses(network, batch) for batch in batches]
    finally:
        network.set_training(training)
    return _mean(rows, dataset.num_samples, network.device)


def _losses(network: Network, batch: list[dict[str, Any]]) -> torch.Tensor:
    losses = network.module(batch)
    values = [losses[name] for name in _names()]
    return torch.stack([sum(values), *values])


def _mean(rows: list[torch.Tensor], num_images: int, device: torch.device) -> dict[str, float]:
    names = ["loss", *(LOSS_NAMES.get(name, name) for name in _names())]
    here = torch.stack(rows).sum(dim=0) if rows else torch.zeros(len(names), device=device)
    # the sum over processes, as each has summed its own images
    means = mean_of_all(here) * shard()[1] / num_images
    return {f"val_{name}": value for name, value in zip(names, means.tolist(), strict=True)}


def _names() -> tuple[str, ...]:
    """Detectron2's losses of a Mask R-CNN."""
    return ("loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls", "loss_rpn_loc")


def _compute_losses_only(module: nn.Module) -> None:
    """Training mode, in which the network returns losses, without touching running statistics."""
    module.train()
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()
