"""Annotations to training targets, through the transforms that were applied to the image.

Origin: `detectron2.data.detection_utils`. Differences: crowd regions stay, marked by `gt_crowd` and
with their box as mask; an image is kept as polygons when all its objects are, and turns into bit
masks otherwise (a polygon among RLE masks is drawn after the transforms, so it loses nothing).
"""

from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import torch
from detectron2.data import transforms as d2
from detectron2.structures import (
    BitMasks,
    Boxes,
    BoxMode,
    Instances,
    PolygonMasks,
    polygons_to_bitmask,
)
from fvcore.transforms.transform import BlendTransform, Transform, TransformList

# Under these a box around an object stays the box around the object.
_KEEP_BOXES_TIGHT = (
    d2.ResizeTransform,
    d2.HFlipTransform,
    d2.VFlipTransform,
    d2.NoOpTransform,
    BlendTransform,
    d2.ColorTransform,
)
_SMALLEST_SIDE = 1e-5


def to_instances(
    annotations: list[dict[str, Any]], applied: TransformList, size: tuple[int, int]
) -> Instances:
    """Transform annotations and pack them for the model.

    Args:
        annotations: Detectron2 annotation dicts, with iscrowd.
        applied: what was applied to the image.
        size: (height, width) of the image after that, in pixels.

    Returns:
        gt_boxes (XYXY, pixels, inside the image), gt_classes, gt_masks, and gt_crowd if there is a
        crowd region. Objects that have left the image are dropped.
    """
    crowd = torch.tensor([bool(a["iscrowd"]) for a in annotations], dtype=torch.bool)
    instances = Instances(size)
    instances.gt_boxes = Boxes(_boxes(annotations, applied, size))
    instances.gt_classes = torch.tensor([a["category_id"] for a in annotations], dtype=torch.int64)
    instances.gt_masks = _masks(annotations, instances.gt_boxes, applied, size)
    if crowd.any():
        instances.gt_crowd = crowd
    if not all(_keeps_boxes_tight(transform) for transform in applied.transforms):
        _tighten(instances, crowd)
    keep = instances.gt_boxes.nonempty(_SMALLEST_SIDE) & instances.gt_masks.nonempty()
    return instances if keep.all() else instances[keep]


def _boxes(
    annotations: list[dict[str, Any]], applied: Transform, size: tuple[int, int]
) -> torch.Tensor:
    if not annotations:
        return torch.zeros(0, 4)
    xyxy = np.array(
        [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in annotations],
        dtype=np.float64,
    )
    boxes = Boxes(torch.as_tensor(applied.apply_box(xyxy), dtype=torch.float32))
    boxes.clip(size)
    return boxes.tensor


def _masks(
    annotations: list[dict[str, Any]], boxes: Boxes, applied: Transform, size: tuple[int, int]
) -> PolygonMasks | BitMasks:
    if all(a["iscrowd"] or isinstance(a["segmentation"], list) for a in annotations):
        return PolygonMasks(
            [
                [_rectangle(box)] if a["iscrowd"] else _polygons(a["segmentation"], applied)
                for a, box in zip(annotations, boxes.tensor.numpy(), strict=True)
            ]
        )
    masks = [
        _filled(box, size) if a["iscrowd"] else _bitmask(a["segmentation"], applied, size)
        for a, box in zip(annotations, boxes.tensor.numpy(), strict=True)
    ]
    return BitMasks(torch.as_tensor(np.stack(masks)))


def _polygons(polygons: list[list[float]], applied: Transform) -> list[np.ndarray]:
    # Not apply_polygons: cutting would need shapely. What sticks out does no harm to the targets.
    points = [np.array(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons]
    return [applied.apply_coords(moved).reshape(-1) for moved in points]


def _bitmask(segmentation: Any, applied: Transform, size: tuple[int, int]) -> np.ndarray:
    if isinstance(segmentation, list):
        return polygons_to_bitmask(_polygons(segmentation, applied), *size)
    mask = applied.apply_segmentation(mask_util.decode(segmentation))
    assert mask.shape == tuple(size), (mask.shape, size)
    return mask.astype(bool)


def _rectangle(box: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = box
    return np.array([x1, y1, x2, y1, x2, y2, x1, y2], dtype=np.float64)


def _filled(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    x1, y1 = np.floor(box[:2]).astype(int)
    x2, y2 = np.ceil(box[2:]).astype(int)
    mask[y1:y2, x1:x2] = True
    return mask


def _keeps_boxes_tight(transform: Transform) -> bool:
    return isinstance(transform, _KEEP_BOXES_TIGHT)


def _tighten(instances: Instances, crowd: torch.Tensor) -> None:
    """Boxes from masks where the image was cut or turned; a crowd's box is all there is of it."""
    if not len(instances):
        return
    masks = instances.gt_masks
    if isinstance(masks, PolygonMasks):
        drawn = [polygons_to_bitmask(parts, *instances.image_size) for parts in masks.polygons]
        masks = BitMasks(torch.as_tensor(np.stack(drawn)))
    tight = masks.get_bounding_boxes().tensor  # all zero where nothing is left, dropped later
    instances.gt_boxes.tensor[~crowd] = tight[~crowd]
