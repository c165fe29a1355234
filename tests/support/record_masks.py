"""The masks of a data set's record as pixels, by pycocotools."""

import numpy as np
import pycocotools.mask as mask_util


def masks_of(record) -> list[np.ndarray]:
    """(H, W) bool of each annotation, polygons or compressed RLE."""
    size = record["height"], record["width"]
    segmentations = [annotation["segmentation"] for annotation in record["annotations"]]
    rles = [
        mask_util.merge(mask_util.frPyObjects(each, *size)) if isinstance(each, list) else each
        for each in segmentations
    ]
    return [mask_util.decode(rle).astype(bool) for rle in rles]
