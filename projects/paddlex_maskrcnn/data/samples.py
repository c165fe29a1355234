"""What a training sample is made of: random numbers of its own, pixels, targets, pinned copies.

Origin: `detectron2.data.detection_utils` and Detectron2's `DatasetMapper`. Differences: crowd regions
stay, marked by `gt_crowd` and with their box as mask; RLE masks arrive as polygons along the edges of
their pixels, so that one form of targets serves all, and a mask takes the memory of its outline
instead of the image's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.structures import Boxes, Instances, PolygonMasks

from .transforms.sample import Annotation

Change = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed NumPy's and Python's global generators from `key`, and restore them at the end.

    Detectron2's augmentations draw from the global generators. Seeded around each sample from
    (seed, epoch, index), a sample never depends on which process makes it, on what was made before,
    or on where training was resumed.
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()
    first, second = np.random.SeedSequence(key).generate_state(2)
    np.random.seed(first)
    random.seed(int(second))
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def sample_seed(*key: int) -> int:
    """What the network's random choices for this sample are seeded from; below 2^63."""
    # The appended 1 makes it another stream than that of `seeded` with the same key.
    return int(np.random.SeedSequence([*key, 1]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def planes(image: np.ndarray) -> torch.Tensor:
    """Pixels (H, W, C) as (C, H, W)."""
    # cv2.split takes an eighth of the time of a transposed copy
    copy = np.empty((image.shape[2], *image.shape[:2]), image.dtype)
    cv2.split(np.ascontiguousarray(image), list(copy))
    return torch.from_numpy(copy)


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


class PinnableBatch(list):
    """A list of samples that torch's loader can copy into pinned memory, from which a GPU copies.

    Its own pinning goes through plain containers only, and objects are Detectron2's `Instances`.
    """

    def pin_memory(self) -> list[dict[str, Any]]:
        """The samples with their tensors in pinned memory."""
        return [with_tensors(sample, torch.Tensor.pin_memory) for sample in self]


def with_tensors(sample: dict[str, Any], change: Change) -> dict[str, Any]:
    """A sample whose tensors are what `change` makes of them; the sample itself stays as it is.

    Tensors are the image, and of its objects the boxes, classes and crowd marks. Polygons are arrays
    that stay.
    """
    changed = {**sample, "image": change(sample["image"])}
    if "instances" in sample:
        changed["instances"] = _changed_objects(sample["instances"], change)
    return changed


def _changed_objects(objects: Instances, change: Change) -> Instances:
    changed = Instances(objects.image_size)
    for name, value in objects.get_fields().items():
        if isinstance(value, torch.Tensor):
            value = change(value)
        elif type(value) is Boxes:
            value = Boxes(change(value.tensor))
        changed.set(name, value)
    return changed
