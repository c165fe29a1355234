"""Objects to training targets.

Origin: `detectron2.data.detection_utils`. Differences: crowd regions stay, marked by `gt_crowd` and
with their box as mask; RLE masks arrive as polygons along the edges of their pixels, so that one
form of targets serves all, and a mask takes the memory of its outline instead of the image's.
"""

from collections.abc import Sequence

import numpy as np
import torch
from detectron2.structures import Boxes, Instances, PolygonMasks

from .transforms.sample import Annotation


def to_instances(outlines: Sequence[Annotation], size: tuple[int, int]) -> Instances:
    """Pack objects for the model.

    Args:
        outlines: the objects that are left in the image.
        size: (height, width) of the image in pixels.

    Returns:
        gt_boxes (XYXY, pixels, inside the image), gt_classes, gt_masks, and gt_crowd if there is a
        crowd region.
    """
    instances = Instances(size)
    boxes = np.array([outline.box for outline in outlines], dtype=np.float32).reshape(-1, 4)
    instances.gt_boxes = Boxes(torch.from_numpy(boxes))
    classes = [outline.category for outline in outlines]
    instances.gt_classes = torch.tensor(classes, dtype=torch.int64)
    instances.gt_masks = PolygonMasks(
        [
            [_rectangle(outline.box)] if outline.polygons is None else _flat(outline.polygons)
            for outline in outlines
        ]
    )
    crowd = [outline.is_crowd for outline in outlines]
    if any(crowd):
        instances.gt_crowd = torch.tensor(crowd)
    return instances


def _flat(polygons: list[np.ndarray]) -> list[np.ndarray]:
    return [points.reshape(-1) for points in polygons]


def _rectangle(box: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = box
    return np.array([x1, y1, x2, y1, x2, y2, x1, y2], dtype=np.float64)
