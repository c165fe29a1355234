"""Crowd regions of COCO: areas of many unseparated objects that training has to leave alone.

What: a region flagged in `gt_crowd` is never a target, and anchors or proposals that lie mostly
inside it are neither object nor background.
Origin: COCO's `iscrowd`; Detectron2 drops such annotations, so that the people of a crowd are
trained as background. The measure, intersection over the box's own area, is the one COCO's
evaluation uses for crowds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.structures import Boxes, Instances, pairwise_ioa


def split_crowd(targets: Sequence[Instances]) -> tuple[list[Instances], list[Boxes]]:
    """Objects to learn and crowd boxes to leave alone, for each image.

    The objects come without the field `gt_crowd`, so that nothing behind has to know it.
    """
    pairs = [_split_one(image) for image in targets]
    return [objects for objects, _ in pairs], [crowd for _, crowd in pairs]


def _split_one(targets: Instances) -> tuple[Instances, Boxes]:
    if not targets.has("gt_crowd"):
        return targets, Boxes(targets.gt_boxes.tensor[:0])
    is_crowd = targets.gt_crowd.bool()
    objects = targets[~is_crowd]
    objects.remove("gt_crowd")
    return objects, targets.gt_boxes[is_crowd]


def inside_crowd(boxes: Boxes, crowd: Boxes, threshold: float) -> torch.Tensor:
    """Which boxes (N,) have more than that fraction of their own area in a single crowd box."""
    if len(crowd) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    return (pairwise_ioa(crowd, boxes) > threshold).any(dim=0)
