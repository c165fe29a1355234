"""Second stage with a choice of sampler and NMS, with a pyramid (FPN) and without (C4).

What: one mixin over Detectron2's `StandardROIHeads` and `Res5ROIHeads`. It gives them a function of
`ROI_SAMPLER`, a box predictor with a function of `BOX_NMS`, and leaves crowd regions alone.
Paper: Mask R-CNN, https://arxiv.org/abs/1703.06870.
Differences: with `random_sampler`, `hard_nms`, one process and no crowd regions none, bit for bit. The C4
head can also be the last stage of a ResNet of basic blocks (depth 18, 34) or of the variant "d".
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
from detectron2.modeling.roi_heads import (
    ROI_MASK_HEAD_REGISTRY,
    FastRCNNOutputLayers,
    Res5ROIHeads,
    StandardROIHeads,
)
from detectron2.modeling.roi_heads.mask_head import (
    MaskRCNNConvUpsampleHead,
    mask_rcnn_inference,
    mask_rcnn_loss,
)
from detectron2.structures import Boxes, Instances, pairwise_iou
from detectron2.utils.events import get_event_storage
from torch import nn

from .box_predictor import PaddleXBoxPredictor
from .conventions import end_at_last_pixel
from .losses import rank_weight
from .matching import TouchingMatcher, inside_crowd, split_crowd
from .registries import ROI_SAMPLER, choose
from .resnet import build_res5_stage
from .samplers import generator_of

Sampler = Callable[..., tuple[torch.Tensor, torch.Tensor]]


class SampledROIHeads:
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
        if cfg.MODEL.ROI_HEADS.get("INCLUSIVE_BOXES", False):
            for pooler in {"box_pooler", "mask_pooler", "pooler"} & ret.keys():
                end_at_last_pixel(ret[pooler])
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
        images = enumerate(zip(proposals, targets, crowds, strict=True))
        pairs = [self._sample_image(number, *image) for number, image in images]
        storage = get_event_storage()
        storage.put_scalar("roi_head/num_fg_samples", np.mean([num for _, num in pairs]))
        storage.put_scalar("roi_head/num_bg_samples", np.mean([len(s) - num for s, num in pairs]))
        return [sample for sample, _ in pairs]

    def _sample_image(
        self, number: int, proposals: Instances, targets: Instances, crowd: Boxes
    ) -> tuple[Instances, int]:
        """The sample of one image, foreground first, and how much of it is foreground."""
        max_iou, matched, labels = self._label(proposals.proposal_boxes, targets, crowd)
        foreground, background = self.sampler(
            max_iou, labels, self.batch_size_per_image, self.positive_fraction,
            self.num_classes, generator_of(number),
        )  # fmt: skip
        rows = torch.cat([foreground, background])
        sample = proposals[rows]
        sample.gt_classes = labels[rows]
        if len(targets):
            for name, value in targets.get_fields().items():
                if name.startswith("gt_") and not sample.has(name):
                    sample.set(name, self._select(value, matched[rows]))
        return sample, len(foreground)

    def _select(self, values: Any, objects: torch.Tensor) -> Any:
        """A field of the objects (R,) that the R proposals of a sample are matched to."""
        return values[objects]

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


def build_box_predictor(cfg: CfgNode, plain: FastRCNNOutputLayers) -> PaddleXBoxPredictor:
    """Our box predictor around the layers of the one a head has built.

    The layers are taken over because drawing new weights would make a seed give another model than
    Detectron2's; on the meta device none are drawn.
    """
    with torch.device("meta"):
        predictor = PaddleXBoxPredictor(cfg, ShapeSpec(channels=plain.cls_score.in_features))
    predictor.cls_score, predictor.bbox_pred = plain.cls_score, plain.bbox_pred
    return predictor


@ROI_HEADS_REGISTRY.register()
class PaddleXROIHeads(SampledROIHeads, StandardROIHeads):
    """`StandardROIHeads` (feature pyramid) with a choice of sampler and NMS."""


@ROI_HEADS_REGISTRY.register()
class PaddleXRes5ROIHeads(SampledROIHeads, Res5ROIHeads):
    """`Res5ROIHeads` (C4: the last ResNet stage on each region) with a choice of sampler and NMS."""

    @classmethod
    def _build_res5_block(cls, cfg: CfgNode) -> tuple[nn.Sequential, int]:
        return build_res5_stage(cfg, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS * 4)


@ROI_MASK_HEAD_REGISTRY.register()
class PaddleXMaskHead(MaskRCNNConvUpsampleHead):
    """`MaskRCNNConvUpsampleHead` for any number of processes, see distributed_loss.py."""

    def forward(self, x: torch.Tensor, instances: list[Instances]) -> Any:
        """`loss_mask` in training, else the instances with `pred_masks`."""
        return self.results(self.layers(x), instances)

    def results(self, logits: torch.Tensor, instances: list[Instances]) -> Any:
        """The same of logits (R, K, M, M), or (R, 1, M, M) when one mask of each region is known."""
        if not self.training:
            mask_rcnn_inference(logits, instances)
            return instances
        weight = rank_weight(sum(len(image) for image in instances), logits.device)
        loss = mask_rcnn_loss(logits, instances, self.vis_period)
        return {"loss_mask": loss * self.loss_weight * weight}
