"""Which boxes are matched with objects, which are background, and which are left alone.

What: Detectron2's `Matcher` with one difference, and crowd regions: an area flagged in `gt_crowd` is
never a target, and anchors or proposals that lie mostly inside it are neither object nor background.
Origin: COCO's `iscrowd`. Detectron2 drops such annotations, so that the people of a crowd are trained as
background. The measure, intersection over the box's own area, is the one COCO's evaluation uses for
crowds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.modeling.matcher import Matcher
from detectron2.structures import Boxes, Instances, pairwise_ioa


class TouchingMatcher(Matcher):
    """Matcher whose low-quality matches need some overlap.

    The best IoU of an object that no anchor touches is 0; Detectron2 and PaddleX then call every
    anchor that misses it a positive one. Here such an object gets no anchor.
    """

    def set_low_quality_matches_(
        self, match_labels: torch.Tensor, match_quality_matrix: torch.Tensor
    ) -> None:
        """Mark the best anchors of each object, for objects that have an anchor at all."""
        touched = match_quality_matrix.amax(dim=1) > 0
        # Indexing copies a matrix of (objects, anchors): only in the rare case it is needed for.
        matrix = match_quality_matrix if touched.all() else match_quality_matrix[touched]
        super().set_low_quality_matches_(match_labels, matrix)


def split_crowd(targets: Sequence[Instances]) -> tuple[list[Instances], list[Boxes]]:
    """Objects to learn and crowd boxes to leave alone, for each image.

    The objects come without the field `gt_crowd`.
    """
    pairs = [_split_image(image) for image in targets]
    return [objects for objects, _ in pairs], [crowd for _, crowd in pairs]


def _split_image(targets: Instances) -> tuple[Instances, Boxes]:
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
