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
from detectron2.structures import Boxes, Instances, PolygonMasks, pairwise_ioa

from .device_copies import send


def split_crowd(targets: Sequence[Instances]) -> tuple[list[Instances], list[Boxes]]:
    """Objects to learn and crowd boxes to leave alone, for each image.

    The objects come without the field `gt_crowd`, so that nothing behind has to know it.
    """
    note_crowds(targets)
    pairs = [_split_one(image) for image in targets]
    return [objects for objects, _ in pairs], [crowd for _, crowd in pairs]


def note_crowds(targets: Sequence[Instances]) -> None:
    """Read the flags of all images that have some, in one copy and once; `_crowd` keeps them."""
    unread = [one for one in targets if one.has("gt_crowd") and not hasattr(one, "_crowd")]
    if unread:
        flags = torch.cat([one.gt_crowd for one in unread]).bool().cpu()
        parts = flags.split([len(one) for one in unread])
        for one, part in zip(unread, parts, strict=True):
            one._crowd = part


def _split_one(targets: Instances) -> tuple[Instances, Boxes]:
    if not targets.has("gt_crowd"):
        return targets, Boxes(targets.gt_boxes.tensor[:0])
    is_crowd = targets._crowd
    objects = _rows(targets, torch.nonzero(~is_crowd).flatten())
    crowd = send(torch.nonzero(is_crowd).flatten(), targets.gt_boxes.device)
    return objects, targets.gt_boxes[crowd]


def _rows(targets: Instances, rows: torch.Tensor) -> Instances:
    """The objects with these numbers on the CPU, without their crowd flag; polygons lie there too."""
    there = send(rows, targets.gt_boxes.device)
    fields = {name: value for name, value in targets.get_fields().items() if name != "gt_crowd"}
    return Instances(
        targets.image_size,
        **{
            name: value[rows if isinstance(value, PolygonMasks) else there]
            for name, value in fields.items()
        },
    )


def inside_crowd(boxes: Boxes, crowd: Boxes, threshold: float) -> torch.Tensor:
    """Which boxes (N,) have more than that fraction of their own area in a single crowd box."""
    if len(crowd) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    return (pairwise_ioa(crowd, boxes) > threshold).any(dim=0)
