"""RPN whose losses come from its head at the sampled anchors only.

Why: the RPN learns from 256 anchors an image, a small part of all positions of the pyramid. Computed for
all of them, the backward pass of its 3x3 convolution is as much work as a third of the backbone's,
nearly all of it on zeros. Here the head runs without gradients for the proposals, and once more, with
gradients, on the 3x3 neighbourhoods of the sampled anchors.
Origin: ours. The losses and gradients equal those of the whole maps up to rounding: they are the plain
form's `losses`, given the sample of all images as if it were the anchors of one.
Shapes: N images, R anchors of all levels, S sampled anchors of all images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.layers import Conv2d
from detectron2.modeling.proposal_generator.rpn import RPN, StandardRPNHead
from detectron2.structures import Boxes, ImageList, Instances
from torch import nn
from torch.nn.functional import linear

from ..modeling.rpn import CrowdRPN, FocalRPN
from .guard import is_faster_here


@dataclass(frozen=True)
class AnchorIndices:
    """Which anchors were sampled, those of all images together.

    Attributes:
        images: (S,) number of the image of each.
        anchors: (S,) its number, counted over positions, then levels, as the anchor generator does.
        labels: (S,) 1 or 0.
    """

    images: torch.Tensor
    anchors: torch.Tensor
    labels: torch.Tensor


class SampledLosses(RPN):
    """Computes the losses at the sampled anchors; goes before an RPN in the list of base classes."""

    # the parent's losses are divided by a number that grows with the number of images
    divided_by_images = True

    def forward(
        self,
        images: ImageList,
        features: dict[str, torch.Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, torch.Tensor]]:
        """Proposals of each image and, in training, the losses."""
        maps = [features[name] for name in self.in_features]
        if not self.training or not is_faster_here(maps[0]) or not self.learns_from_sample():
            return super().forward(images, features, gt_instances)
        assert gt_instances is not None
        anchors = self.anchor_generator(maps)
        # before the proposals: autocast would keep weights cast without gradients for these
        losses = self._losses_at_sample(maps, anchors, gt_instances)
        with torch.no_grad():
            logits, deltas = self.rpn_head(maps)
        logits = [_anchors_last(level, 1).flatten(1) for level in logits]
        deltas = [_anchors_last(level, 4) for level in deltas]
        return self.predict_proposals(anchors, logits, deltas, images.image_sizes), losses

    def learns_from_sample(self) -> bool:
        """Whether nothing but the sample has a part in the losses, and the head can run on it."""
        return self.box_reg_loss_type == "smooth_l1" and can_run_at_anchors(self.rpn_head)

    def _losses_at_sample(
        self, maps: list[torch.Tensor], anchors: list[Boxes], gt_instances: list[Instances]
    ) -> dict[str, torch.Tensor]:
        labels, matched = self.label_and_sample_anchors(anchors, gt_instances)
        sample = sampled(labels)
        logits, deltas = run_at_anchors(self.rpn_head, maps, sample)
        each = torch.arange(len(sample.anchors))
        targets = torch.stack([boxes[sample.anchors] for boxes in matched])[sample.images, each]
        losses = self.losses(
            [Boxes(Boxes.cat(anchors).tensor[sample.anchors])],
            [logits[None]], [sample.labels], [deltas[None]], [targets],
        )  # fmt: skip
        divisor = len(labels) if self.divided_by_images else 1
        return {name: loss / divisor for name, loss in losses.items()}


class SampledCrowdRPN(SampledLosses, CrowdRPN):
    """`CrowdRPN` in its faster form."""


class SampledFocalRPN(SampledLosses, FocalRPN):
    """`FocalRPN` in its faster form, which needs a sample: not with `focal_on="all"`."""

    divided_by_images = False  # but by the number of positive anchors

    def learns_from_sample(self) -> bool:
        """As the parent's."""
        return self.focal_on == "sampled" and super().learns_from_sample()


def sampled(labels: Sequence[torch.Tensor]) -> AnchorIndices:
    """Where the labels (R,) of the images are not -1."""
    stacked = torch.stack(list(labels))
    images, anchors = torch.nonzero(stacked >= 0, as_tuple=True)
    return AnchorIndices(images, anchors, stacked[images, anchors])


def can_run_at_anchors(head: nn.Module) -> bool:
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
    head: StandardRPNHead, maps: Sequence[torch.Tensor], sample: AnchorIndices
) -> tuple[torch.Tensor, torch.Tensor]:
    """Objectness (S,) and deltas (S, 4) of the sampled anchors, in 32 bits.

    Args:
        head: one that `can_run_at_anchors`.
        maps: (N, C, H, W) of each level.
    """
    per_position = head.objectness_logits.out_channels
    patches = _patches(maps, sample.images, sample.anchors // per_position)
    conv = head.conv
    hidden = linear(patches.flatten(1), conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)
    hidden = conv.activation(hidden)
    own = (torch.arange(len(hidden)), sample.anchors % per_position)
    logits, deltas = (
        linear(hidden, layer.weight.flatten(1), layer.bias).float()
        for layer in (head.objectness_logits, head.anchor_deltas)
    )
    return logits[own], deltas.unflatten(1, (per_position, -1))[own]


def _patches(
    maps: Sequence[torch.Tensor], images: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """The 3x3 pixels (S, 9, C) around positions counted over all maps."""
    patches = maps[0].new_zeros(len(positions), 9, maps[0].shape[1])
    first = 0
    for level in maps:
        count = level.shape[2] * level.shape[3]
        here = torch.nonzero((positions >= first) & (positions < first + count)).flatten()
        around = _neighbourhoods(level, images[here], positions[here] - first)
        patches = patches.index_copy(0, here, around)
        first += count
    return patches


def _neighbourhoods(x: torch.Tensor, images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The 3x3 pixels around positions of a map (N, C, H, W), zero outside: (S, 9, C)."""
    height, width = x.shape[2:]
    around = torch.arange(9)
    row = (positions // width)[:, None] + around // 3 - 1
    column = (positions % width)[:, None] + around % 3 - 1
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    return x.permute(0, 2, 3, 1)[images[:, None], row, column] * inside[:, :, None].to(x.dtype)


def _anchors_last(x: torch.Tensor, size: int) -> torch.Tensor:
    """(N, A * size, H, W) to (N, H * W * A, size)."""
    return x.unflatten(1, (-1, size)).permute(0, 3, 4, 1, 2).flatten(1, 3)
