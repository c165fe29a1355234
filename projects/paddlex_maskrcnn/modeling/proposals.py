"""The best proposals of all images and levels, for a GPU: two waits for a batch.

What: Detectron2's `find_top_rpn_proposals`: of each level the best by objectness, clipped, without
those that have no size, after NMS within each level the best of all.
Origin: Faster R-CNN, https://arxiv.org/abs/1506.01497, with a pyramid as in
https://arxiv.org/abs/1612.03144.
Differences from Detectron2: it asks the device for five things of each image. Here boxes that are
dropped become empty, score below all others and suppress nothing. NMS of all levels of a few images is
one call; it waits, as nobody knows how many boxes stay. The numbers of proposals are read for the
whole batch. Only the best of a level are decoded. Results are equal but for the rounding of overlaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.structures import Boxes, Instances

from .device_copies import send
from .grouped_nms import MOST_BOXES, best_of_images, nms_of_groups
from .read_boxes import ReadBoxes, read_parts


@dataclass(frozen=True)
class ProposalSettings:
    """How proposals are chosen.

    Attributes:
        pre_nms: boxes of each level and image that NMS sees.
        post_nms: proposals of an image.
        iou_threshold: of NMS, within a level.
        min_size: shortest side, pixels.
    """

    pre_nms: int
    post_nms: int
    iou_threshold: float
    min_size: float


@dataclass(frozen=True)
class Candidates:
    """The best T anchors of all levels, for each of N images.

    Attributes:
        scores: (N, T).
        boxes: (N, T, 4) XYXY pixels.
        levels: (T,).
        num_levels: of the pyramid.
    """

    scores: torch.Tensor
    boxes: torch.Tensor
    levels: torch.Tensor
    num_levels: int


def best_candidates(
    anchors: Sequence[Boxes],
    logits: Sequence[torch.Tensor],
    deltas: Sequence[torch.Tensor],
    transform: Any,
    pre_nms: int,
) -> Candidates:
    """The best of each level, decoded.

    Args:
        anchors: (R_l, 4) of each level l.
        logits: (N, R_l).
        deltas: (N, R_l, 4).
        transform: Detectron2's `Box2BoxTransform`.
    """
    scores, boxes, levels = [], [], []
    for level, (anchor, logit, delta) in enumerate(zip(anchors, logits, deltas, strict=True)):
        best, places = logit.topk(min(pre_nms, logit.shape[1]), dim=1)
        chosen = delta.gather(1, places[:, :, None].expand(-1, -1, 4))
        decoded = transform.apply_deltas(chosen.flatten(0, 1), anchor.tensor[places.flatten()])
        scores.append(best)
        boxes.append(decoded.view(chosen.shape))
        levels.append(torch.full(best.shape[1:], level, device=best.device))
    return Candidates(torch.cat(scores, 1), torch.cat(boxes, 1), torch.cat(levels), len(anchors))


def choose_proposals(
    found: Candidates,
    image_sizes: Sequence[tuple[int, int]],
    settings: ProposalSettings,
    training: bool,
) -> list[Instances]:
    """`proposal_boxes` and `objectness_logits` of each image, best first.

    Raises:
        FloatingPointError: in training, when a box or score is not finite; the message is Detectron2's.
    """
    is_finite = torch.isfinite(found.boxes).all(dim=2) & torch.isfinite(found.scores)
    scores, boxes = _clipped(found, is_finite, image_sizes, settings.min_size)
    at_once = max(1, MOST_BOXES // boxes.shape[1])
    parts = zip(scores.split(at_once), boxes.split(at_once), strict=True)
    chosen = [_choose(*part, found, settings) for part in parts]
    rows, counts = (torch.cat(each) for each in zip(*chosen, strict=True))
    scores = scores.gather(1, rows)
    boxes = boxes.gather(1, rows[:, :, None].expand(-1, -1, 4))
    # in training the boxes are read again once the sample is drawn
    known = boxes[:, :0] if training else boxes
    read = read_parts([[is_finite.all(), counts, known]])[0]
    if training and not read[0]:
        raise FloatingPointError(
            "Predicted boxes or scores contain Inf/NaN. Training has diverged."
        )
    return [
        Instances(
            size,
            proposal_boxes=ReadBoxes(box[:count], None if training else host[:count]),
            objectness_logits=score[:count],
        )
        for size, box, score, count, host in zip(
            image_sizes, boxes, scores, read[1].int().tolist(), read[2], strict=True
        )
    ]


def _clipped(
    found: Candidates,
    is_finite: torch.Tensor,
    image_sizes: Sequence[tuple[int, int]],
    min_size: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and boxes inside the images; those to drop are empty and score minus infinity."""
    sides = torch.tensor([(width, height) * 2 for height, width in image_sizes]).float()
    limits = send(sides, found.boxes.device)[:, None]
    boxes = torch.minimum(found.boxes.clamp(min=0), limits)
    has_size = (boxes[:, :, 2:] - boxes[:, :, :2] > min_size).all(dim=2)
    stays = is_finite & has_size
    boxes = torch.where(stays[:, :, None], boxes, 0.0)
    return torch.where(stays, found.scores, -torch.inf), boxes


def _choose(
    scores: torch.Tensor, boxes: torch.Tensor, found: Candidates, settings: ProposalSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of some images (n, T) the numbers (n, post_nms) of their proposals, and how many are real."""
    images, candidates = scores.shape
    number = torch.arange(images, device=scores.device)[:, None]
    groups = (number * found.num_levels + found.levels).flatten()
    flat = scores.flatten()
    kept = nms_of_groups(
        boxes.flatten(0, 1), flat, groups, images * found.num_levels, settings.iou_threshold
    )
    of_image = torch.where(flat[kept] > -torch.inf, kept // candidates, images)
    most = min(settings.post_nms, candidates)
    return best_of_images(kept % candidates, of_image, images, most)
