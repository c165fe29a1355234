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
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator.proposal_utils import add_ground_truth_to_proposals
from detectron2.modeling.roi_heads import FastRCNNOutputLayers, Res5ROIHeads, StandardROIHeads
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks, pairwise_iou
from detectron2.utils.events import get_event_storage
from torch import nn

from .backbones.resnet_variant import build_res5_stage
from .box_predictor import SeamBoxPredictor
from .crowd import inside_crowd, split_crowd
from .fast_path import is_fast
from .gather_pooling import gather_on_cpu
from .image_randomness import generator_of
from .inclusive_pooling import end_at_last_pixel
from .picked_masks import PickedMasks
from .registries import ROI_SAMPLER, choose

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
        ret["box_predictor"] = build_box_predictor(cfg, ret["box_predictor"])
        for name in {"box_pooler", "mask_pooler", "pooler"} & ret.keys():
            gather_on_cpu(ret[name])
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
        images = zip(proposals, targets, crowds, strict=True)
        sampled = [
            self._sample_one_image(*image, generator_of(self, number))  # type: ignore[arg-type]
            for number, image in enumerate(images)
        ]
        _log_sample_sizes([sizes for _, sizes in sampled])
        return [sample for sample, _ in sampled]

    def _sample_one_image(
        self,
        proposals: Instances,
        targets: Instances,
        crowd: Boxes,
        generator: torch.Generator | None,
    ) -> tuple[Instances, tuple[int, int]]:
        """The sample, and how many of it are foreground and background."""
        max_iou, matched, labels = self._label(proposals.proposal_boxes, targets, crowd)
        foreground, background = self.sampler(
            max_iou,
            labels,
            self.batch_size_per_image,
            self.positive_fraction,
            self.num_classes,
            generator,
        )
        chosen = torch.cat([foreground, background])
        sample = proposals[chosen]
        sample.gt_classes = labels[chosen]
        if len(targets):
            for name, value in targets.get_fields().items():
                if name.startswith("gt_") and not sample.has(name):
                    sample.set(name, _picked(value, matched[chosen]))
        return sample, (len(foreground), len(background))

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


def _log_sample_sizes(sizes: list[tuple[int, int]]) -> None:
    """As Detectron2, but from the samples' lengths, for which nobody waits."""
    foreground, background = zip(*sizes, strict=True)
    storage = get_event_storage()
    storage.put_scalar("roi_head/num_fg_samples", np.mean(foreground))
    storage.put_scalar("roi_head/num_bg_samples", np.mean(background))


def _picked(value: Any, rows: torch.Tensor) -> Any:
    """Rows of a field of objects; masks are drawn later, for those proposals that need them."""
    if is_fast() and isinstance(value, BitMasks | PolygonMasks):
        return PickedMasks(value, rows)
    return value[rows]


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


@ROI_HEADS_REGISTRY.register()
class SeamRes5ROIHeads(SeamMixin, Res5ROIHeads):
    """`Res5ROIHeads` (C4: the last ResNet stage on each region) with our seams."""

    @classmethod
    def _build_res5_block(cls, cfg: CfgNode) -> tuple[nn.Sequential, int]:
        return build_res5_stage(cfg, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS * 4)
