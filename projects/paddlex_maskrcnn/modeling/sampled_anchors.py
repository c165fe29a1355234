"""The RPN's head at a few anchors only, for its losses.

Why: the RPN learns from 256 anchors an image, a small part of all places of the pyramid. Computed for
all of them, the backward pass of its 3x3 convolution is as much work as a third of the backbone's,
nearly all of it on zeros. Here the head runs without gradients for the proposals, and once more, with
gradients, on the 3x3 neighbourhoods of the sampled anchors.
Origin: ours. The losses and gradients equal those of the whole maps up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.layers import Conv2d
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from torch import nn
from torch.nn.functional import linear

from .device_copies import spares_waits


def can_run_at_places(head: nn.Module) -> bool:
    """Whether a head is one 3x3 convolution, an activation and two 1x1 convolutions."""
    return (
        isinstance(head, StandardRPNHead)
        and isinstance(head.conv, Conv2d)
        and head.conv.kernel_size == (3, 3)
        and head.conv.stride == head.conv.padding == head.conv.dilation == (1, 1)
        and head.conv.groups == 1
        and head.conv.norm is None
    )


def run_at_anchors(
    head: StandardRPNHead, maps: Sequence[torch.Tensor], images: torch.Tensor, anchors: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Objectness (S,) and deltas (S, 4) of some anchors, in 32 bits.

    Args:
        head: one that `can_run_at_places`.
        maps: (N, C, H, W) of each level.
        images: (S,) number of the image of each anchor.
        anchors: (S,) its number, counted over places, then levels, as the anchor generator does.
    """
    per_place = head.objectness_logits.out_channels
    patches = _patches(maps, images, anchors // per_place)
    conv = head.conv
    hidden = linear(patches.flatten(1), conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)
    hidden = conv.activation(hidden)
    kind = (torch.arange(len(anchors), device=anchors.device), anchors % per_place)
    logits, deltas = (
        linear(hidden, one.weight.flatten(1), one.bias).float()
        for one in (head.objectness_logits, head.anchor_deltas)
    )
    return logits[kind], deltas.unflatten(1, (per_place, -1))[kind]


def _patches(
    maps: Sequence[torch.Tensor], images: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """The 3x3 pixels (S, 9, C) around places counted over all maps."""
    patches = maps[0].new_zeros(len(places), 9, maps[0].shape[1])
    first = 0
    for one in maps:
        count = one.shape[2] * one.shape[3]
        is_here = (places >= first) & (places < first + count)
        if spares_waits(one):  # all are looked up in each map: a few megabytes, but no counting
            # places of other maps fall anywhere: gradients of one pixel are added one after the other
            found = _neighbourhoods(one, images, (places - first) % count)
            patches = torch.where(is_here[:, None, None], found, patches)
        else:
            here = torch.nonzero(is_here).flatten()
            found = _neighbourhoods(one, images[here], places[here] - first)
            patches = patches.index_copy(0, here, found)
        first += count
    return patches


def _neighbourhoods(x: torch.Tensor, images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The 3x3 pixels around places of a map (N, C, H, W), zero outside: (S, 9, C)."""
    height, width = x.shape[2:]
    around = torch.arange(9, device=places.device)
    row = (places // width)[:, None] + around // 3 - 1
    column = (places % width)[:, None] + around % 3 - 1
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    return x.permute(0, 2, 3, 1)[images[:, None], row, column] * inside[:, :, None].to(x.dtype)
