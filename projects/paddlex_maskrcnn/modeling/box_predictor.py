"""Box predictor of the second stage with a seam for the NMS.

What: Detectron2's `FastRCNNOutputLayers`; what happens to overlapping detections is a function.
Paper: Fast R-CNN, https://arxiv.org/abs/1504.08083.
Differences: with `hard_nms` and one process none, bit for bit on the plain path (fast_path.py),
elsewhere losses are equal up to rounding and no accuracies are written to Detectron2's event storage;
with several processes the losses are
means over the proposals of all of them (see global_mean.py). Boxes are clipped after the score cut instead of
before: the same numbers for a fraction of the work. The box loss "ciou" is our own, which stays
finite for degenerate boxes (see box_losses.py); the other losses are Detectron2's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, cross_entropy
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances

from .batch_detection import detect_together
from .box_deltas import delta_loss
from .box_losses import ciou_loss
from .device_copies import spares_waits
from .fast_path import is_fast
from .global_mean import share_of_mean
from .nms.hard import hard_nms
from .nms.settings import NMSSettings
from .registries import BOX_NMS, choose

Nms = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, NMSSettings], tuple[torch.Tensor, torch.Tensor]
]


class SeamBoxPredictor(FastRCNNOutputLayers):
    """`FastRCNNOutputLayers` that is given its NMS."""

    @configurable
    def __init__(self, input_shape: ShapeSpec, *, nms: Nms, nms_sigma: float, **kwargs: Any):
        """Detectron2's arguments and two more.

        Args:
            input_shape: shape of the features of one region.
            nms: a function of `BOX_NMS`.
            nms_sigma: width of the Gaussian, for soft-NMS.
            kwargs: arguments of `FastRCNNOutputLayers`.
        """
        super().__init__(input_shape, **kwargs)
        self.nms = nms
        self.nms_sigma = nms_sigma

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Constructor arguments from the configuration.

        Raises:
            ValueError: MODEL.ROI_HEADS.NMS names no function of `BOX_NMS`.
        """
        ret = super().from_config(cfg, input_shape)
        ret["nms"] = choose(BOX_NMS, "MODEL.ROI_HEADS.NMS", cfg.MODEL.ROI_HEADS.NMS)
        ret["nms_sigma"] = cfg.MODEL.ROI_HEADS.SOFT_NMS_SIGMA
        return ret

    @property
    def nms_settings(self) -> NMSSettings:
        """Settings for the NMS, from the attributes as they are now."""
        return NMSSettings(
            iou_threshold=self.test_nms_thresh,
            score_threshold=self.test_score_thresh,
            sigma=self.nms_sigma,
            top_k=self.test_topk_per_image,
        )

    def losses(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """`loss_cls` and `loss_box_reg`, means over the sampled proposals."""
        if is_fast() and len(proposals) and not self.use_sigmoid_ce:
            losses = self._unlogged_losses(predictions, proposals)
        else:
            losses = super().losses(predictions, proposals)
        share = share_of_mean(sum(len(one) for one in proposals), predictions[0].device)
        return {name: loss * share for name, loss in losses.items()}

    def _unlogged_losses(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """As the parent's, without accuracies for its event storage, for which the host would wait."""
        scores, deltas = predictions
        classes = torch.cat([one.gt_classes for one in proposals])
        boxes = torch.cat([one.proposal_boxes.tensor for one in proposals])
        # without objects in an image nothing there is foreground
        targets = [one.gt_boxes if one.has("gt_boxes") else one.proposal_boxes for one in proposals]
        target_boxes = torch.cat([one.tensor for one in targets])
        losses = {
            "loss_cls": cross_entropy(scores, classes, reduction="mean"),
            "loss_box_reg": self.box_reg_loss(boxes, target_boxes, deltas, classes),
        }
        return {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}

    def box_reg_loss(
        self,
        proposal_boxes: torch.Tensor,
        gt_boxes: torch.Tensor,
        pred_deltas: torch.Tensor,
        gt_classes: torch.Tensor,
    ) -> torch.Tensor:
        """Sum of the box losses of the foreground divided by the number of all proposals.

        Args:
            proposal_boxes: (R, 4) XYXY pixels.
            gt_boxes: (R, 4) XYXY pixels.
            pred_deltas: (R, K * 4), or (R, 4) when all classes share a box.
            gt_classes: (R,) in [0, K], K = background.
        """
        kind = self.box_reg_loss_type
        if kind != "ciou" and not (kind == "smooth_l1" and is_fast()):
            return super().box_reg_loss(proposal_boxes, gt_boxes, pred_deltas, gt_classes)
        is_foreground = (gt_classes >= 0) & (gt_classes < self.num_classes)
        deltas = _of_class(pred_deltas, gt_classes.clamp(0, self.num_classes - 1))
        if kind == "smooth_l1":
            weights = self.box2box_transform.weights
            total = delta_loss(
                deltas, proposal_boxes, gt_boxes, is_foreground, weights, self.smooth_l1_beta
            )
        else:
            deltas = torch.where(is_foreground[:, None], deltas, 0.0)
            boxes = self.box2box_transform.apply_deltas(deltas, proposal_boxes)
            total = torch.where(is_foreground, ciou_loss(boxes, gt_boxes), 0.0).sum()
        return total / max(len(gt_classes), 1)

    def inference(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> tuple[list[Instances], list[torch.Tensor]]:
        """Detections of each image, best first, and the index of the proposal of each."""
        boxes = self.predict_boxes(predictions, proposals)
        scores = self.predict_probs(predictions, proposals)
        sizes = [one.image_size for one in proposals]
        if spares_waits(predictions[0]) and self.nms is hard_nms:
            together = detect_together(boxes, scores, sizes, self.nms_settings)
            if together is not None:
                return together
        images = zip(boxes, scores, sizes, strict=True)
        found = [self.detect(*image) for image in images]
        return [detections for detections, _ in found], [rows for _, rows in found]

    def detect(
        self, boxes: torch.Tensor, scores: torch.Tensor, image_size: tuple[int, int]
    ) -> tuple[Instances, torch.Tensor]:
        """Detections of one image.

        Args:
            boxes: (R, K * 4), or (R, 4) when all classes share a box, XYXY pixels.
            scores: (R, K + 1) probabilities, background last.
            image_size: height and width in pixels.

        Returns:
            the detections, best first, and the row of each in [0, R) of those that are finite.
        """
        finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
        if not finite.all():
            boxes, scores = boxes[finite], scores[finite]
        scores = scores[:, :-1]
        rows, classes = torch.nonzero(scores > self.test_score_thresh, as_tuple=True)
        columns = classes if boxes.shape[1] > 4 else 0
        candidates = Boxes(boxes.unflatten(1, (boxes.shape[1] // 4, 4))[rows, columns])
        candidates.clip(image_size)
        keep, kept_scores = self.nms(
            candidates.tensor, scores[rows, classes], classes, self.nms_settings
        )
        detections = Instances(image_size)
        detections.pred_boxes = candidates[keep]
        detections.scores = kept_scores
        detections.pred_classes = classes[keep]
        return detections, rows[keep]


def _of_class(values: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The four of each row (R, K * 4) that belong to its class, or (R, 4) of all classes: (R, 4)."""
    if values.shape[1] == 4:
        return values
    rows = torch.arange(len(values), device=values.device)
    return values.unflatten(1, (-1, 4))[rows, classes]
