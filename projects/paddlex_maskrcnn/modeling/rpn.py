"""Region proposal network that leaves crowd regions alone.

What: Detectron2's `RPN`; background anchors that lie mostly in a crowd region are ignored.
Paper: Faster R-CNN, https://arxiv.org/abs/1506.01497.
Differences from Detectron2:
- without crowd regions none, bit for bit on the plain path (fast_path.py), except for
- an object that no anchor touches (tiny objects between small, widely spaced anchors): its "best"
  IoU is 0, and both Detectron2 and PaddleX then call every anchor that misses it a positive one.
  Here such an object gets no anchor;
- the losses are computed at the sampled anchors alone, equal up to rounding (sampled_anchors.py).
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import PROPOSAL_GENERATOR_REGISTRY
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import Boxes, ImageList, Instances

from .crowd import inside_crowd, split_crowd
from .fast_path import is_fast
from .image_randomness import generator_of
from .sampled_anchors import can_run_at_places, run_at_anchors
from .samplers.random import random_sample


class TouchingMatcher(Matcher):
    """Matcher whose low-quality matches need some overlap."""

    def set_low_quality_matches_(
        self, match_labels: torch.Tensor, match_quality_matrix: torch.Tensor
    ) -> None:
        """Mark the best anchors of each object, for objects that have an anchor at all."""
        touched = match_quality_matrix.amax(dim=1) > 0
        # Indexing copies a matrix of (objects, anchors): only in the rare case it is needed for.
        matrix = match_quality_matrix if touched.all() else match_quality_matrix[touched]
        super().set_low_quality_matches_(match_labels, matrix)


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

    def forward(
        self,
        images: ImageList,
        features: dict[str, torch.Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, torch.Tensor]]:
        """Proposals of each image and, in training, the losses."""
        if not (self.training and self._learns_from_sample() and is_fast()):
            return super().forward(images, features, gt_instances)
        assert gt_instances is not None
        maps = [features[name] for name in self.in_features]
        anchors = self.anchor_generator(maps)
        # before the proposals: autocast would keep weights cast without gradients for these
        losses = self._losses_at_sample(maps, anchors, gt_instances)
        with torch.no_grad():
            logits, deltas = (
                [_anchors_last(one, size) for one in outputs]
                for outputs, size in zip(self.rpn_head(maps), (1, 4), strict=True)
            )
            logits = [one.flatten(1) for one in logits]
            proposals = self.predict_proposals(anchors, logits, deltas, images.image_sizes)
        return proposals, losses

    def _losses_at_sample(
        self, maps: list[torch.Tensor], anchors: list[Boxes], gt_instances: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """The losses from the sampled anchors S of all images, those of others ignored in each."""
        labels, matched = self.label_and_sample_anchors(anchors, gt_instances)
        images, numbers = torch.nonzero(torch.stack(labels) >= 0, as_tuple=True)
        found = run_at_anchors(self.rpn_head, maps, images, numbers)
        own = images == torch.arange(len(labels), device=images.device)[:, None]
        every = [
            torch.where(own, label[numbers], -1) for label, own in zip(labels, own, strict=True)
        ]
        logits, deltas = (one.expand(len(labels), *one.shape) for one in found)
        sample = [Boxes(Boxes.cat(anchors).tensor[numbers])]
        boxes = [one[numbers] for one in matched]
        return self.losses(sample, [logits], every, [deltas], boxes)

    def _learns_from_sample(self) -> bool:
        return can_run_at_places(self.rpn_head)

    def _subsample_labels(self, label: torch.Tensor) -> torch.Tensor:
        # The parent samples right after matching. Crowd regions have to be taken out in between,
        # so nothing is sampled here; `sample_anchors` does it. No random number is drawn between
        # the two places: the same seed gives the parent's samples.
        return label

    def sample_anchors(self, labels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Labels (R,) of each image with -1 (ignore) for what is not in a random sample of it."""
        return [self._sample_image(label, image) for image, label in enumerate(labels)]

    def _sample_image(self, label: torch.Tensor, image: int) -> torch.Tensor:
        generator = generator_of(self, image)
        positive, negative = random_sample(
            label, self.batch_size_per_image, self.positive_fraction, 0, generator
        )
        return torch.full_like(label, -1).scatter_(0, positive, 1).scatter_(0, negative, 0)

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

    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Labels (R,) of the sampled anchors of each image, -1 elsewhere, and matched boxes."""
        labels, matched_boxes = self.label_anchors(anchors, gt_instances)
        return self.sample_anchors(labels), matched_boxes


def _anchors_last(x: torch.Tensor, size: int) -> torch.Tensor:
    """(N, A * size, H, W) to (N, H * W * A, size)."""
    return x.unflatten(1, (-1, size)).permute(0, 3, 4, 1, 2).flatten(1, 3)
