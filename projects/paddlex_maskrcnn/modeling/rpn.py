"""Region proposal network that leaves crowd regions alone.

What: Detectron2's `RPN`; background anchors that lie mostly in a crowd region are ignored.
Paper: Faster R-CNN, https://arxiv.org/abs/1506.01497.
Differences from Detectron2:
- without crowd regions none, bit for bit on the plain path (fast_path.py), except for
- an object that no anchor touches (tiny objects between small, widely spaced anchors): its "best"
  IoU is 0, and both Detectron2 and PaddleX then call every anchor that misses it a positive one.
  Here such an object gets no anchor;
- the losses are computed at the sampled anchors alone, equal up to rounding (sampled_anchors.py), and
  no statistics of them are written to Detectron2's event storage;
- on a GPU the host waits for the proposals only, and twice (device_copies.py). The sample there has
  a fixed number of places, some of them empty, and draws other random numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import PROPOSAL_GENERATOR_REGISTRY
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import Boxes, ImageList, Instances
from torch.nn.functional import binary_cross_entropy_with_logits

from .anchor_sampling import AnchorSample, Places, drawn_places, found_places, gather_sample
from .box_deltas import delta_loss
from .crowd import inside_crowd, split_crowd
from .device_copies import spares_waits
from .fast_path import is_fast
from .grid_anchors import grid_anchors
from .image_randomness import generator_of
from .kept import forget_all
from .matching import TouchingMatcher
from .proposals import ProposalSettings, best_candidates, choose_proposals
from .sampled_anchors import can_run_at_places, run_at_anchors
from .samplers.random import random_sample


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
        if not is_fast():
            return super().forward(images, features, gt_instances)
        maps = [features[name] for name in self.in_features]
        anchors = grid_anchors(self.anchor_generator, maps)
        losses: dict[str, torch.Tensor] = {}
        if self.training and self._learns_from_sample():
            assert gt_instances is not None
            # before the proposals: autocast would keep weights cast without gradients for these
            losses = self._losses_at_sample(maps, anchors, gt_instances)
            forget_all(self.rpn_head)  # the optimizer may have stepped since, unnoticed
            with torch.no_grad():
                logits, deltas = self._everywhere(maps)
        else:
            logits, deltas = self._everywhere(maps)
            if self.training:
                assert gt_instances is not None
                labels, boxes = self.label_and_sample_anchors(anchors, gt_instances)
                losses = self.losses(anchors, logits, labels, deltas, boxes)
        return self.predict_proposals(anchors, logits, deltas, images.image_sizes), losses

    def _everywhere(
        self, maps: list[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Objectness (N, R) and deltas (N, R, 4) of the anchors of each map."""
        logits, deltas = self.rpn_head(maps)
        objectness = [_anchors_last(one, 1).flatten(1) for one in logits]
        return objectness, [_anchors_last(one, 4) for one in deltas]

    def _losses_at_sample(
        self, maps: list[torch.Tensor], anchors: list[Boxes], gt_instances: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """The losses from the sampled anchors of all images."""
        labels, matched = self.label_anchors(anchors, gt_instances)
        sample = gather_sample(self._places(labels), Boxes.cat(anchors).tensor, matched)
        logits, deltas = run_at_anchors(self.rpn_head, maps, sample.images, sample.numbers)
        return self.losses_of(sample, logits, deltas)

    def _places(self, labels: list[torch.Tensor]) -> Places:
        """Which anchors are sampled."""
        if not spares_waits(labels[0]):
            return found_places(self.sample_anchors(labels))
        generators = [generator_of(self, image) for image in range(len(labels))]
        return drawn_places(labels, self.batch_size_per_image, self.positive_fraction, generators)

    def losses_of(
        self, sample: AnchorSample, logits: torch.Tensor, deltas: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """`loss_rpn_cls` and `loss_rpn_loc` of the head's outputs (S,) and (S, 4) for a sample."""
        used = sample.labels >= 0
        losses = {
            "loss_rpn_cls": binary_cross_entropy_with_logits(
                torch.where(used, logits, 0.0), sample.labels.clamp(min=0).to(logits.dtype),
                used.to(logits.dtype), reduction="sum",
            ),
            "loss_rpn_loc": self._box_loss(sample, deltas),
        }  # fmt: skip
        divisor = self.batch_size_per_image * sample.num_images
        return {
            name: loss / divisor * self.loss_weight.get(name, 1.0) for name, loss in losses.items()
        }

    def _box_loss(self, sample: AnchorSample, deltas: torch.Tensor) -> torch.Tensor:
        weights = self.box2box_transform.weights
        counts = sample.labels == 1
        return delta_loss(
            deltas, sample.anchors, sample.matched, counts, weights, self.smooth_l1_beta
        )

    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[torch.Tensor],
        pred_anchor_deltas: list[torch.Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Proposals of each image, best first.

        Raises:
            FloatingPointError: in training, when some are not finite.
        """
        outputs = anchors, pred_objectness_logits, pred_anchor_deltas
        if not spares_waits(outputs[1][0]):
            return super().predict_proposals(*outputs, image_sizes)
        settings = ProposalSettings(
            self.pre_nms_topk[self.training],
            self.post_nms_topk[self.training],
            self.nms_thresh,
            self.min_box_size,
        )
        with torch.no_grad():
            found = best_candidates(*outputs, self.box2box_transform, settings.pre_nms)
            return choose_proposals(found, image_sizes, settings, self.training)

    def _learns_from_sample(self) -> bool:
        return self.box_reg_loss_type == "smooth_l1" and can_run_at_places(self.rpn_head)

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
