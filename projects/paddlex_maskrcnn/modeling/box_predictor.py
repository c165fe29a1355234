"""Box predictor of the second stage that is given its NMS.

What: Detectron2's `FastRCNNOutputLayers`; what happens to overlapping detections is a function.
Paper: Fast R-CNN, https://arxiv.org/abs/1504.08083.
Differences: with `hard_nms` and one process none, bit for bit; with several processes the losses are
means over the proposals of all of them (distributed_loss.py). Boxes are clipped after the score cut
instead of before: the same numbers for a fraction of the work. The box loss "ciou" is our own, which
stays finite for degenerate boxes (losses.py); the other losses are Detectron2's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances

from .losses import ciou_loss, rank_weight
from .nms import NMSSettings
from .registries import BOX_NMS, choose

Nms = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, NMSSettings], tuple[torch.Tensor, torch.Tensor]
]

# A context variable, as predictions are made deep inside Detectron2's methods, whose arguments are fixed.
_score_threshold: ContextVar[float | None] = ContextVar("score threshold", default=None)


@contextlib.contextmanager
def scores_above(threshold: float) -> Iterator[None]:
    """Networks detect what scores above this in the block, whatever their own threshold is."""
    token = _score_threshold.set(threshold)
    try:
        yield
    finally:
        _score_threshold.reset(token)


class PaddleXBoxPredictor(FastRCNNOutputLayers):
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
        """Settings for the NMS, as they are now."""
        threshold = _score_threshold.get()
        return NMSSettings(
            iou_threshold=self.test_nms_thresh,
            score_threshold=self.test_score_thresh if threshold is None else threshold,
            sigma=self.nms_sigma,
            top_k=self.test_topk_per_image,
        )

    def losses(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """`loss_cls` and `loss_box_reg`, means over the sampled proposals."""
        losses = super().losses(predictions, proposals)
        weight = rank_weight(sum(len(sample) for sample in proposals), predictions[0].device)
        return {name: loss * weight for name, loss in losses.items()}

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
        if self.box_reg_loss_type != "ciou":
            return super().box_reg_loss(proposal_boxes, gt_boxes, pred_deltas, gt_classes)
        rows = torch.nonzero((gt_classes >= 0) & (gt_classes < self.num_classes)).flatten()
        columns = gt_classes[rows] if pred_deltas.shape[1] > 4 else 0
        deltas = pred_deltas.unflatten(1, (-1, 4))[rows, columns]
        boxes = self.box2box_transform.apply_deltas(deltas, proposal_boxes[rows])
        # max: without proposals the sum is 0
        return ciou_loss(boxes, gt_boxes[rows]).sum() / max(len(gt_classes), 1)

    def inference(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> tuple[list[Instances], list[torch.Tensor]]:
        """Detections of each image, best first, and the index of the proposal of each."""
        boxes = self.predict_boxes(predictions, proposals)
        scores = self.predict_probs(predictions, proposals)
        images = zip(boxes, scores, (image.image_size for image in proposals), strict=True)
        pairs = [self.detect(*image) for image in images]
        return [detections for detections, _ in pairs], [rows for _, rows in pairs]

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
        scores, settings = scores[:, :-1], self.nms_settings
        rows, classes = torch.nonzero(scores > settings.score_threshold, as_tuple=True)
        columns = classes if boxes.shape[1] > 4 else 0
        candidates = Boxes(boxes.unflatten(1, (boxes.shape[1] // 4, 4))[rows, columns])
        candidates.clip(image_size)
        keep, remaining_scores = self.nms(
            candidates.tensor, scores[rows, classes], classes, settings
        )
        detections = Instances(image_size)
        detections.pred_boxes = candidates[keep]
        detections.scores = remaining_scores
        detections.pred_classes = classes[keep]
        return detections, rows[keep]
