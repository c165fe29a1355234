"""Records brought to the upright pixels that every format but COCO's takes for granted.

A record whose annotations were drawn on the stored pixels of a turned photograph is turned with it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util

from ..datasets.annotations import bounds_of
from ..datasets.records import Record
from ..image_headers import file_bytes, orientation_of, read_header, swaps_sides
from ..images import turned
from ..rle import as_text


def upright(record: Record) -> Record:
    """The record for the picture as it is shown; itself where that is what it is for."""
    size = record["height"], record["width"]
    header = read_header(record["file_name"])
    if size == header.upright:
        return record
    orientation = orientation_of(file_bytes(Path(record["file_name"])))
    annotations = [_turned(one, orientation, size) for one in record["annotations"]]
    height, width = header.upright
    return {**record, "height": height, "width": width, "annotations": annotations}


def _turned(annotation: dict[str, Any], orientation: int, size: tuple[int, int]) -> dict[str, Any]:
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, dict):
        pixels = np.asfortranarray(turned(mask_util.decode(segmentation), orientation))
        segmentation = as_text(mask_util.encode(pixels))
    else:
        segmentation = [_turned_points(one, orientation, size) for one in segmentation]
    x, y, width, height = annotation["bbox"]
    corners = _turned_points([x, y, x + width, y + height], orientation, size)
    bbox = bounds_of([corners])
    return {**annotation, "segmentation": segmentation, "bbox": bbox}


def _turned_points(flat: list[float], orientation: int, size: tuple[int, int]) -> list[float]:
    """Flat x, y where the pixels around them go, as `images.turned` moves these."""
    points = np.array(flat, np.float64).reshape(-1, 2)
    height, width = size
    if swaps_sides(orientation):
        points, height, width = points[:, ::-1].copy(), width, height
    if orientation in (2, 3, 6, 7):
        points[:, 0] = width - points[:, 0]
    if orientation in (3, 4, 7, 8):
        points[:, 1] = height - points[:, 1]
    return points.reshape(-1).tolist()
