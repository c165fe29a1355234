"""Region proposal networks: one that leaves crowd regions alone, and one with focal loss.

What: `CrowdRPN` is Detectron2's `RPN` in which background anchors that lie mostly in a crowd region are
ignored; `FocalRPN` learns objectness with the focal loss, for images with much easy background.
Papers: Faster R-CNN, https://arxiv.org/abs/1506.01497; Focal Loss for Dense Object Detection,
https://arxiv.org/abs/1708.02002.
Origin of `FocalRPN`: PaddleX 1.3 with `rpn_cls_loss='SigmoidFocalLoss'`, written from a description.
Differences of `CrowdRPN` from Detectron2: without crowd regions none, bit for bit, except for an object
that no anchor touches (`matching.TouchingMatcher`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, cat
from detectron2.modeling import PROPOSAL_GENERATOR_REGISTRY
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import Boxes, Instances
from torch import nn

from .losses import mean_count, sigmoid_focal_loss, world_size
from .matching import TouchingMatcher, inside_crowd, split_crowd
from .samplers import generator_of, random_sample

PRIOR_PROBABILITY = (
    0.01  # of an object at an anchor before training: section 4.1 of the focal paper
)
FOCAL_ON = ("sampled", "all")


@PROPOSAL_GENERATOR_REGISTRY.register()
class CrowdRPN(RPN):
    """`RPN` that neither learns crowd regions nor calls them background."""

    @configurable
    def __init__(self, *, crowd_threshold: float, **kwargs: Any) -> None:
        """Detectron2's arguments and one more.

        Args:
            crowd_threshold: fraction of an anchor's area above which it belongs to a crowd region.
            kwargs: arguments of `RPN`.
        """
        super().__init__(**kwargs)
        self.crowd_threshold = crowd_threshold

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Constructor arguments from the configuration."""
        ret = super().from_config(cfg, input_shape)
        ret["crowd_threshold"] = cfg.MODEL.ROI_HEADS.CROWD_THRESH
        ret["anchor_matcher"] = TouchingMatcher(
            cfg.MODEL.RPN.IOU_THRESHOLDS, cfg.MODEL.RPN.IOU_LABELS, allow_low_quality_matches=True
        )
        return ret

    def _subsample_labels(self, label: torch.Tensor) -> torch.Tensor:
        # The parent samples right after matching. Crowd regions have to be taken out in between,
        # so nothing is sampled here; `sample_anchors` does it. No random number is drawn between
        # the two: the same seed gives the parent's samples.
        return label

    @torch.no_grad()
    def label_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Labels (R,) of all anchors of each image, 1, 0 or -1 = ignore, and matched boxes."""
        targets, crowds = split_crowd(gt_instances)
        labels, matched_boxes = super().label_and_sample_anchors(anchors, targets)
        if any(len(crowd) for crowd in crowds):
            flat = Boxes.cat(anchors)
            for label, crowd in zip(labels, crowds, strict=True):
                label[(label == 0) & inside_crowd(flat, crowd, self.crowd_threshold)] = -1
        return labels, matched_boxes

    def sample_anchors(self, labels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Labels (R,) of each image with -1 (ignore) for what is not in a random sample of it."""
        return [self._sample_image(label, image) for image, label in enumerate(labels)]

    def _sample_image(self, label: torch.Tensor, image: int) -> torch.Tensor:
        positive, negative = random_sample(
            label, self.batch_size_per_image, self.positive_fraction, 0, generator_of(image)
        )
        return torch.full_like(label, -1).scatter_(0, positive, 1).scatter_(0, negative, 0)

    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Labels (R,) of the sampled anchors of each image, -1 elsewhere, and matched boxes."""
        labels, matched_boxes = self.label_anchors(anchors, gt_instances)
        return self.sample_anchors(labels), matched_boxes


@PROPOSAL_GENERATOR_REGISTRY.register()
class FocalRPN(CrowdRPN):
    """`CrowdRPN` with the focal loss on objectness.

    Both losses are divided by the number of positive anchors of the batch (at least 1), and objectness
    starts at a probability of 0.01.
    Differences from PaddleX: without positives it divides by 1 instead of 0. `focal_on="all"`, which
    PaddleX lacks, trains objectness on all anchors the matching does not ignore, as the paper means
    it: a random sample of 256 with many positives has few easy negatives left to turn down. The box
    loss then still uses the sampled positives, so that their number does not change with this choice;
    each loss is divided by the number of positives it is computed from or among.
    With gamma 0 and no alpha the sum of the objectness losses equals that of `RPN`, bit for bit; only
    the divisor differs, which there is anchors per image x images.
    """

    @configurable
    def __init__(
        self, *, focal_alpha: float | None, focal_gamma: float, focal_on: str, **kwargs: Any
    ) -> None:
        """The arguments of `CrowdRPN` and three more.

        Args:
            focal_alpha: weight of the positives, the negatives have 1 - alpha; None weighs none.
            focal_gamma: how strongly easy anchors are turned down.
            focal_on: which anchors objectness is trained on, "sampled" or "all".
            kwargs: arguments of `CrowdRPN`.

        Raises:
            ValueError: `focal_on` is something else.
        """
        super().__init__(**kwargs)
        if focal_on not in FOCAL_ON:
            choices = ", ".join(FOCAL_ON)
            raise ValueError(f"MODEL.RPN.FOCAL_ON is {focal_on!r}; choose one of {choices}")
        self.focal_alpha = focal_alpha
        self.focal_gamma = focal_gamma
        self.focal_on = focal_on
        # Else the many negatives swamp the first steps: section 3.3 of the paper.
        prior = -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)
        nn.init.constant_(self.rpn_head.objectness_logits.bias, prior)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Constructor arguments from the configuration."""
        ret = super().from_config(cfg, input_shape)
        ret["focal_alpha"] = cfg.MODEL.RPN.FOCAL_ALPHA
        ret["focal_gamma"] = cfg.MODEL.RPN.FOCAL_GAMMA
        ret["focal_on"] = cfg.MODEL.RPN.FOCAL_ON
        return ret

    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Labels (R,) of each image and matched boxes; `losses` samples when "all" are wanted."""
        if self.focal_on == "all":
            return self.label_anchors(anchors, gt_instances)
        return super().label_and_sample_anchors(anchors, gt_instances)

    def losses(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[torch.Tensor],
        gt_labels: list[torch.Tensor],
        pred_anchor_deltas: list[torch.Tensor],
        gt_boxes: list[torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """`loss_rpn_cls` and `loss_rpn_loc`, each divided by its number of positive anchors."""
        labels = torch.stack(gt_labels)  # (images, R)
        if self.focal_on == "all":
            gt_labels = self.sample_anchors(gt_labels)
        # The parent's cross entropy is thrown away: cheaper than a copy of its method.
        losses = super().losses(
            anchors, pred_objectness_logits, gt_labels, pred_anchor_deltas, gt_boxes
        )
        used = labels >= 0
        logits = cat(pred_objectness_logits, dim=1)[used]
        loss = sigmoid_focal_loss(logits, labels[used], self.focal_alpha, self.focal_gamma)
        weight = self.loss_weight.get("loss_rpn_cls", 1.0)
        losses["loss_rpn_cls"] = loss / num_positives(labels) * weight
        parents_divisor = self.batch_size_per_image * len(gt_labels)
        sampled_positives = num_positives(torch.stack(gt_labels))
        losses["loss_rpn_loc"] = losses["loss_rpn_loc"] * (parents_divisor / sampled_positives)
        return losses


def num_positives(labels: torch.Tensor) -> torch.Tensor:
    """How many labels are 1, but at least 1, as a number that can divide.

    With several processes the mean over them, so that their averaged losses have one divisor.
    """
    return mean_count((labels == 1).sum()).clamp(min=1 / world_size())
