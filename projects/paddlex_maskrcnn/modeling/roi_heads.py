"""Second stage with seams for the sampler and the NMS, with a pyramid (FPN) and without (C4).

What: one mixin over Detectron2's `StandardROIHeads` and `Res5ROIHeads`. It gives them a function of
`ROI_SAMPLER`, a box predictor with a function of `BOX_NMS`, and leaves crowd regions alone.
Paper: Mask R-CNN, https://arxiv.org/abs/1703.06870.
Differences: with `random_sampler`, `hard_nms` and no crowd regions none, bit for bit on the
plain path (fast_path.py), elsewhere up to rounding. The C4 head
can also be the last stage of a ResNet of basic blocks (depth 18, 34) or of the variant "d".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator.proposal_utils import add_ground_truth_to_proposals
from detectron2.modeling.roi_heads import FastRCNNOutputLayers, Res5ROIHeads, StandardROIHeads
from detectron2.structures import (
    Boxes,
    ImageList,
    Instances,
    pairwise_iou,
)
from torch import nn

from .backbones.resnet_variant import build_res5_stage
from .box_predictor import SeamBoxPredictor
from .crowd import inside_crowd, split_crowd
from .device_copies import spares_waits
from .fast_path import is_fast
from .image_randomness import generator_of
from .inclusive_pooling import end_at_last_pixel
from .level_pooling import spare_waits_in
from .matching import TouchingMatcher
from .registries import ROI_SAMPLER, choose
from .roi_sampling import (
    Chosen,
    Labelled,
    found_sample,
    log_sample_sizes,
    read_samples,
    sample_of,
)
from .samplers import SLOTS

Drawn = TypeVar("Drawn")
Sampler = Callable[..., tuple[torch.Tensor, torch.Tensor]]


class SeamMixin:
    """Sampler, box predictor and crowd regions for any of Detectron2's R-CNN heads.

    Goes before the head in the list of base classes.
    """

    # what the head brings
    num_classes: int
    batch_size_per_image: int
    positive_fraction: float
    proposal_append_gt: bool
    proposal_matcher: Matcher

    @configurable
    def __init__(self, *, sampler: Sampler, crowd_threshold: float, **kwargs: Any) -> None:
        """The head's arguments and two more.

        Args:
            sampler: a function of `ROI_SAMPLER`.
            crowd_threshold: fraction of a proposal's area above which it belongs to a crowd region.
            kwargs: arguments of the head.
        """
        super().__init__(**kwargs)
        self.sampler = sampler
        self.crowd_threshold = crowd_threshold

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Constructor arguments from the configuration.

        Raises:
            ValueError: MODEL.ROI_HEADS.SAMPLER or NMS names nothing that is registered.
        """
        ret = super().from_config(cfg, input_shape)  # type: ignore[misc]
        name = cfg.MODEL.ROI_HEADS.SAMPLER
        ret["sampler"] = choose(ROI_SAMPLER, "MODEL.ROI_HEADS.SAMPLER", name)
        ret["crowd_threshold"] = cfg.MODEL.ROI_HEADS.CROWD_THRESH
        ret["proposal_matcher"] = TouchingMatcher(
            cfg.MODEL.ROI_HEADS.IOU_THRESHOLDS, cfg.MODEL.ROI_HEADS.IOU_LABELS
        )
        ret["box_predictor"] = build_box_predictor(cfg, ret["box_predictor"])
        for name in {"box_pooler", "mask_pooler", "pooler"} & ret.keys():
            spare_waits_in(ret[name])
            if cfg.MODEL.ROI_HEADS.get("INCLUSIVE_BOXES", False):
                end_at_last_pixel(ret[name])
        return ret

    @torch.no_grad()
    def label_and_sample_proposals(
        self, proposals: list[Instances], targets: list[Instances]
    ) -> list[Instances]:
        """Proposals to train on, with the `gt_` fields of the object each is matched to.

        As in Detectron2, proposals of an image without objects carry `gt_classes` only.
        """
        targets, crowds = split_crowd(targets)
        if self.proposal_append_gt:
            proposals = add_ground_truth_to_proposals(targets, proposals)
        images = [
            Labelled(one, *self._label(one.proposal_boxes, objects, crowd))
            for one, objects, crowd in zip(proposals, targets, crowds, strict=True)
        ]
        parts = zip(images, self._choose(images), targets, strict=True)
        samples = [sample_of(*one) for one in parts]
        log_sample_sizes(samples)
        return samples

    def _choose(self, images: list[Labelled]) -> list[Chosen]:
        """The samples of all images; on a GPU they are read together."""
        draw = SLOTS.get(self.sampler) if spares_waits(images[0].labels) else None
        if draw is None:
            return [found_sample(*one) for one in self._drawn(self.sampler, images)]
        return read_samples(images, self._drawn(draw, images))

    def _drawn(self, draw: Callable[..., Drawn], images: list[Labelled]) -> list[Drawn]:
        """What a function draws for each image."""
        settings = self.batch_size_per_image, self.positive_fraction, self.num_classes
        return [
            draw(one.max_iou, one.labels, *settings, generator_of(self, number))  # type: ignore[arg-type]
            for number, one in enumerate(images)
        ]

    def _label(
        self, boxes: Boxes, targets: Instances, crowd: Boxes
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Best IoU, index of the matched object and class of each proposal, each (N,)."""
        iou = pairwise_iou(targets.gt_boxes, boxes)
        matched, match_labels = self.proposal_matcher(iou)
        if len(targets):
            max_iou = iou.amax(dim=0)
            labels = targets.gt_classes[matched]
            labels[match_labels == 0] = self.num_classes
            labels[match_labels == -1] = -1
        else:
            max_iou = torch.zeros(len(boxes), device=boxes.device)
            labels = torch.full_like(matched, self.num_classes)
        if len(crowd):
            crowded = inside_crowd(boxes, crowd, self.crowd_threshold)
            labels[(labels == self.num_classes) & crowded] = -1
        return max_iou, matched, labels


def build_box_predictor(cfg: CfgNode, plain: FastRCNNOutputLayers) -> SeamBoxPredictor:
    """Our box predictor in place of the one a head has built, with the same weights.

    The weights are taken over because drawing new ones would make a seed give another model than
    Detectron2's.
    """
    predictor = SeamBoxPredictor(cfg, ShapeSpec(channels=plain.cls_score.in_features))
    predictor.load_state_dict(plain.state_dict())
    return predictor


@ROI_HEADS_REGISTRY.register()
class SeamROIHeads(SeamMixin, StandardROIHeads):
    """`StandardROIHeads` (feature pyramid) with our seams."""

    def _forward_mask(self, features: dict[str, torch.Tensor], instances: list[Instances]) -> Any:
        """As Detectron2's, which asks the device for the foreground: it comes first."""
        counts = [getattr(one, "_num_foreground", None) for one in instances]
        if not (self.training and self.mask_on and is_fast() and None not in counts):
            return super()._forward_mask(features, instances)
        foreground = [one[:count] for one, count in zip(instances, counts, strict=True)]
        maps = [features[name] for name in self.mask_in_features]
        pooled = self.mask_pooler(maps, [one.proposal_boxes for one in foreground])
        return self.mask_head(pooled, foreground)


@ROI_HEADS_REGISTRY.register()
class SeamRes5ROIHeads(SeamMixin, Res5ROIHeads):
    """`Res5ROIHeads` (C4: the last ResNet stage on each region) with our seams."""

    def forward(
        self,
        images: ImageList,
        features: dict[str, torch.Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, torch.Tensor]]:
        """As Detectron2's, which asks the device for the foreground: it comes first."""
        if not (self.training and is_fast()):
            return super().forward(images, features, proposals, targets)
        assert targets is not None
        proposals = self.label_and_sample_proposals(proposals, targets)
        maps = [features[name] for name in self.in_features]
        regions = self._shared_roi_transform(maps, [one.proposal_boxes for one in proposals])
        losses = self.box_predictor.losses(self.box_predictor(regions.mean(dim=[2, 3])), proposals)
        if self.mask_on:
            of_image = regions.split([len(one) for one in proposals])
            counts = [one._num_foreground for one in proposals]
            parts = zip(of_image, proposals, counts, strict=True)
            chosen = [(part[:count], one[:count]) for part, one, count in parts]
            masked, foreground = zip(*chosen, strict=True)
            losses.update(self.mask_head(torch.cat(masked), list(foreground)))
        return [], losses

    @classmethod
    def _build_res5_block(cls, cfg: CfgNode) -> tuple[nn.Sequential, int]:
        return build_res5_stage(cfg, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS * 4)
