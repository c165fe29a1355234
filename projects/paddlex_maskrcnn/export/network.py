"""A network as one function of tensors, for one image of any size, that a tracer can follow.

What: Detectron2's `GeneralizedRCNN.inference` for a batch of one, from the pixels of the resized image
to boxes, scores, labels and the mask head's answers. The backbone, the RPN's head and the region heads
are called as they are; what picks boxes is given a traceable form on a copy of the network: the functions
of `modeling.nms`, which these equal (tested), as ONNX and TorchScript can hold them. Loops are
TorchScript's, which become ONNX's Loop, and no shape changes from one turn to the next.
Greedy NMS equals `torchvision.ops.batched_nms` on a CPU bit for bit. While it is being traced,
torchvision's own always moves the groups apart, also where it otherwise takes one after the other; the
two round differently, and of thousands of boxes some pairs are always close to the threshold.
Differences: what has no effect on finite numbers is left out, such as dropping boxes that are not.
Soft-NMS and DIoU-NMS pick over all classes at once, one box a turn, instead of one of each class: the
same picks in the same order, since a class does not touch another and picks of a class never get better.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from detectron2.modeling import GeneralizedRCNN
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor, nn

from ..acceleration import plain
from ..data.transforms.resize import Padding
from ..modeling.nms import EPS, MATRIX_POST_THRESHOLD

NMS = ("hard_nms", "soft_nms", "diou_nms", "matrix_nms")


class ExportableRCNN(nn.Module):
    """One image to its objects, best first.

    Attributes:
        module: a copy of the network, its box picking replaced.
    """

    def __init__(self, module: GeneralizedRCNN, padding: Padding | None) -> None:
        """Copy a network to the CPU.

        Args:
            module: what `engine.network.build_network` builds.
            padding: operator of the test transforms; the graph carries it out.

        Raises:
            ValueError: for an NMS that has no traceable form.
        """
        super().__init__()
        self.module = plain(copy.deepcopy(module)).cpu().eval().requires_grad_(False)
        self._padding = padding
        heads = self.module.roi_heads
        self._picker = _BoxPicker(heads.box_predictor)
        heads.box_predictor.inference = self._picker
        heads.mask_head.forward = _MaskPicker(heads.mask_head)
        self.module.proposal_generator.predict_proposals = _ProposalPicker(
            self.module.proposal_generator
        )

    def forward(self, image: Tensor, score_threshold: Tensor) -> tuple[Tensor, ...]:
        """Objects of an image.

        Args:
            image: float32 (C, H, W), pixel values as in the file, channels in the network's order.
            score_threshold: () which the scores that go into NMS exceed.

        Returns:
            boxes (N, 4) XYXY in pixels of this image, scores (N,), labels (N,) int64 that count
            foreground classes from 0, masks (N, M, M) probabilities of the box's region.
        """
        self._picker.score_threshold = score_threshold
        # tensors, not numbers: the trace must not keep the size of its example
        size = torch.stack([torch.as_tensor(side) for side in image.shape[-2:]])
        below, right = self._padded_size(size) - size
        normed = (image - self.module.pixel_mean) / self.module.pixel_std
        padded = nn.functional.pad(normed, [0, right, 0, below])[None]
        features = self.module.backbone(padded)
        images = ImageList(padded, [size])
        proposals, _ = self.module.proposal_generator(images, features, None)
        [detections], _ = self.module.roi_heads(images, features, proposals, None)
        return (
            detections.pred_boxes.tensor,
            detections.scores,
            detections.pred_classes,
            detections.pred_masks,
        )

    def _padded_size(self, size: Tensor) -> Tensor:
        """Height and width that the backbone sees, as `PaddedRCNN.preprocess_image` makes them."""
        if self._padding is not None:
            size = _padded(size, self._padding)
        return _round_up(size, step_of(self.module))


def step_of(module: GeneralizedRCNN) -> int:
    """What the backbone wants both sides to be a multiple of, in pixels."""
    backbone = module.backbone
    constraints = backbone.padding_constraints or {}
    return constraints.get("size_divisibility", backbone.size_divisibility) or 1


def _padded(size: Tensor, padding: Padding) -> Tensor:
    target = padding.target_size
    if target is None:
        return _round_up(size, padding.coarsest_stride)
    width, height = (target, target) if isinstance(target, int) else target
    return torch.maximum(size, torch.tensor([height, width]))


def _round_up(size: Tensor, step: int) -> Tensor:
    return torch.div(size + (step - 1), step, rounding_mode="floor") * step


class _ProposalPicker:
    """`RPN.predict_proposals`: from every anchor's score and deltas to proposals."""

    def __init__(self, rpn: Any) -> None:
        self._rpn = rpn

    def __call__(
        self,
        anchors: list[Boxes],
        logits: list[Tensor],
        deltas: list[Tensor],
        image_sizes: list[Tensor],
    ) -> list[Instances]:
        rpn, [size] = self._rpn, image_sizes
        picked = [
            self._best_of(level, *tensors)
            for level, tensors in enumerate(zip(anchors, logits, deltas, strict=True))
        ]
        boxes, score, level = (torch.cat(tensors) for tensors in zip(*picked, strict=True))
        candidates = Boxes(boxes)
        candidates.clip(size)
        full = candidates.nonempty(threshold=rpn.min_box_size)
        box, score, level = candidates.tensor[full], score[full], level[full]
        keep = grouped_nms(box, score, level, len(anchors), rpn.nms_thresh)
        keep = keep[: rpn.post_nms_topk[False]]
        proposals = Instances(size)
        proposals.proposal_boxes = Boxes(box[keep])
        proposals.objectness_logits = score[keep]
        return [proposals]

    def _best_of(
        self, level: int, anchors: Boxes, logits: Tensor, deltas: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and level of the best anchors of a level, before NMS."""
        # a tensor, so that the graph takes the smaller number for every size of image
        most: Any = torch.as_tensor(logits.shape[1]).clamp(max=self._rpn.pre_nms_topk[False])
        scores, best = logits[0].topk(most)
        boxes = self._rpn.box2box_transform.apply_deltas(deltas[0][best], anchors.tensor[best])
        return boxes, scores, torch.full_like(best, level)


class _BoxPicker:
    """`PaddleXBoxPredictor.inference`: from every proposal's scores and deltas to detections."""

    score_threshold: Tensor

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor
        self._nms = predictor.nms.__name__
        if self._nms not in NMS:
            raise ValueError(
                f"the NMS {self._nms!r} cannot be exported; choose one of {', '.join(NMS)}"
            )

    def __call__(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        [proposed], (logits, deltas) = proposals, predictions
        boxes = self._predictor.box2box_transform.apply_deltas(
            deltas, proposed.proposal_boxes.tensor
        )
        # the last column is background
        scores = logits.softmax(dim=-1)[:, :-1]
        rows, classes = torch.nonzero(scores > self.score_threshold, as_tuple=True)
        # a plain number, so that the graph can reshape no rows as well
        num_boxes = self._predictor.bbox_pred.out_features // 4
        columns = classes if num_boxes > 1 else torch.zeros_like(classes)
        candidates = Boxes(boxes.reshape(-1, num_boxes, 4)[rows, columns])
        candidates.clip(proposed.image_size)
        keep, final_scores = self._pick(candidates.tensor, scores[rows, classes], classes)
        detections = Instances(proposed.image_size)
        detections.pred_boxes = candidates[keep]
        detections.scores, detections.pred_classes = final_scores, classes[keep]
        return [detections], [rows[keep]]

    def _pick(self, boxes: Tensor, scores: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        settings, num_classes = self._predictor.nms_settings, self._predictor.num_classes
        iou, top_k = settings.iou_threshold, settings.top_k
        if self._nms == "soft_nms":
            least = self.score_threshold.clamp(min=0)
            return soft_nms(boxes, scores, classes, least, settings.sigma, top_k)
        if self._nms == "diou_nms":
            return diou_nms(boxes, scores, classes, iou, top_k)
        if self._nms == "matrix_nms":
            return matrix_nms(boxes, scores, classes, num_classes, MATRIX_POST_THRESHOLD, top_k)
        keep = grouped_nms(boxes, scores, classes, num_classes, iou)
        keep = keep[:top_k] if top_k >= 0 else keep
        return keep, scores[keep]


class _MaskPicker:
    """The mask head's `forward` in evaluation: the mask of each object's own class."""

    def __init__(self, head: Any) -> None:
        self._head = head

    def __call__(self, x: Tensor, instances: list[Instances]) -> list[Instances]:
        [detections] = instances
        logits = self._head.layers(x)
        if logits.shape[1] == 1:
            chosen = logits[:, 0]
        else:
            chosen = logits[torch.arange(logits.shape[0], device=x.device), detections.pred_classes]
        detections.pred_masks = chosen.sigmoid()
        return instances


@torch.jit.script_if_tracing
def grouped_nms(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    num_groups: int,
    iou_threshold: float,
    few: int = 4000,
) -> Tensor:
    """Kept indices, best first.

    Args:
        boxes: (N, 4) XYXY pixels.
        scores: (N,).
        groups: (N,) numbers from 0 to num_groups - 1.
        few: how many coordinates torchvision calls few.
    """
    if boxes.numel() == 0:
        keep = torch.zeros_like(groups)
    elif boxes.numel() <= few:
        # boxes of different groups do not meet when each group has an area of its own
        apart = groups.to(boxes) * (boxes.max() + 1)
        keep = torch.ops.torchvision.nms(boxes + apart[:, None], scores, iou_threshold)
    else:
        survives = torch.zeros_like(scores)
        for group in range(num_groups):
            rows = torch.nonzero(groups == group).flatten()
            if rows.numel() > 0:
                best = torch.ops.torchvision.nms(boxes[rows], scores[rows], iou_threshold)
                survives[rows[best]] = 1.0
        rows = torch.nonzero(survives).flatten()
        keep = rows[torch.sort(scores[rows], dim=0, descending=True)[1]]
    return keep


@torch.jit.script_if_tracing
def soft_nms(
    boxes: Tensor, scores: Tensor, classes: Tensor, threshold: Tensor, sigma: float, top_k: int
) -> tuple[Tensor, Tensor]:
    """Kept indices, best first, and their decayed scores.

    Args:
        boxes: (N, 4) XYXY pixels.
        scores, classes: (N,).
        threshold: () which a pick's score exceeds.
        top_k: number of boxes to keep at most, -1 = all.
    """
    # -1 is below every score: a box that is taken, or was never picked
    left, picked = scores, torch.full_like(scores, -1.0)
    limit = scores.numel() if top_k < 0 else min(top_k, scores.numel())
    picks, going = 0, limit > 0
    while going:
        best = torch.argmax(left)
        if bool(left[best] > threshold):
            is_best = torch.arange(scores.numel(), device=scores.device) == best
            picked = torch.where(is_best, left, picked)
            decay = torch.exp(overlap(boxes[best], boxes).square() * (-1 / sigma))
            left = torch.where(classes == classes[best], left * decay, left)
            left = torch.where(is_best, torch.full_like(left, -1.0), left)
            picks += 1
            going = picks < limit
        else:
            going = False
    order = torch.sort(picked, dim=0, descending=True)[1][:picks]
    return order, picked[order]


@torch.jit.script_if_tracing
def diou_nms(
    boxes: Tensor, scores: Tensor, classes: Tensor, iou_threshold: float, top_k: int
) -> tuple[Tensor, Tensor]:
    """Kept indices, best first, and their scores; arguments as `soft_nms`."""
    left, picked = scores, torch.full_like(scores, -1.0)
    limit = scores.numel() if top_k < 0 else min(top_k, scores.numel())
    picks, going = 0, limit > 0
    while going:
        best = torch.argmax(left)
        if bool(left[best] >= 0):
            is_best = torch.arange(scores.numel(), device=scores.device) == best
            picked = torch.where(is_best, left, picked)
            diou = overlap(boxes[best], boxes) - centre_distance(boxes[best], boxes)
            goes = is_best | ((classes == classes[best]) & (diou > iou_threshold))
            left = torch.where(goes, torch.full_like(left, -1.0), left)
            picks += 1
            going = picks < limit
        else:
            going = False
    order = torch.sort(picked, dim=0, descending=True)[1][:picks]
    return order, picked[order]


@torch.jit.script_if_tracing
def matrix_nms(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    num_classes: int,
    post: float,
    top_k: int,
    eps: float = EPS,
) -> tuple[Tensor, Tensor]:
    """Kept indices, best first, and their decayed scores; arguments as `soft_nms`.

    Args:
        num_classes: classes are numbered from 0 to num_classes - 1.
        post: decayed scores of that or less are dropped.
    """
    decayed = torch.zeros_like(scores)
    for number in range(num_classes):
        rows = torch.nonzero(classes == number).flatten()
        if rows.numel() > 0:
            rows = rows[torch.sort(scores[rows], dim=0, descending=True)[1]]
            iou = torch.triu(all_overlaps(boxes[rows]), diagonal=1)
            left_over = 1 - iou.amax(dim=0)
            factor = (1 - iou) / left_over.clamp(min=eps)[:, None]
            decayed[rows] = scores[rows] * factor.amin(dim=0)
    order = torch.sort(decayed, dim=0, descending=True)[1]
    order = order[decayed[order] > post]
    if top_k >= 0:
        order = order[:top_k]
    return order, decayed[order]


def overlap(box: Tensor, boxes: Tensor, eps: float = EPS) -> Tensor:
    """IoU (N,) of a box (4,) and boxes (N, 4); boxes of no size overlap nothing."""
    size = torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])
    size = size.clamp(min=0)
    shared = size[:, 0] * size[:, 1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    own = (box[2] - box[0]) * (box[3] - box[1])
    return shared / (own + area - shared).clamp(min=eps)


def all_overlaps(boxes: Tensor, eps: float = EPS) -> Tensor:
    """IoU (N, N) of boxes (N, 4) with each other."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    size = (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - low).clamp(min=0)
    shared = size[:, :, 0] * size[:, :, 1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return shared / (area[:, None] + area[None, :] - shared).clamp(min=eps)


def centre_distance(box: Tensor, boxes: Tensor, eps: float = EPS) -> Tensor:
    """Squared distance (N,) of the centres by the squared diagonal of the box around both."""
    around = torch.maximum(box[2:], boxes[:, 2:]) - torch.minimum(box[:2], boxes[:, :2])
    distance = (box[:2] + box[2:]) / 2 - (boxes[:, :2] + boxes[:, 2:]) / 2
    return distance.square().sum(dim=1) / around.square().sum(dim=1).clamp(min=eps)
