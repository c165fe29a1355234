"""A pipeline of albumentations (https://albumentations.ai) as an operator; imgaug's are refused.

Image, masks and boxes go through it together. albumentations itself is not imported: who passes a pipeline
has it. Differences from our own operators: on the way objects are masks of the whole image, so that a hundred
of them in a photograph take time and memory (less behind ResizeByShort); a mask that was moved is the outline
of its pixels afterwards. What changes colours alone leaves objects as they are. It works in training only,
since a saved model has no words for it.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_util
from detectron2.data import transforms as d2
from detectron2.structures import BoxMode
from fvcore.transforms.transform import Transform

from .operator import ImageContext, Operator
from .sample import Annotation, Layer, Sample

logger = logging.getLogger(__name__)

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of functions, another one in each process


def adapted(transform: Any) -> Any:
    """A transform of albumentations as an operator; everything else as it is.

    Raises:
        ValueError: for an augmenter of imgaug.
    """
    if isinstance(transform, (Operator, type)):
        return transform
    libraries = {kind.__module__.partition(".")[0] for kind in type(transform).__mro__}
    if "imgaug" in libraries:
        raise ValueError(
            f"Compose.transforms has {type(transform).__name__} of imgaug, which PaddleX applied to pixels "
            "without moving the objects, and which no longer runs with current NumPy. Use RandomBlur, "
            "RandomNoise, ColorJitter, RandomRotation and the like, or an albumentations pipeline"
        )
    return Albumentations(transform) if "albumentations" in libraries else transform


class Albumentations(Operator, d2.Augmentation):
    """A pipeline, or one transform, of albumentations."""

    def __init__(self, pipeline: Any) -> None:
        """Keep it.

        Args:
            pipeline: called with `image`, RGB, and where it moves pixels with `masks`; with `bboxes` and its
                label fields too if it has `bbox_params`, whose limits then decide which objects stay.
        """
        self.pipeline = pipeline
        self._is_told = False
        self._moves_pixels = not all(_is_image_only(leaf) for leaf in _leaves(pipeline))

    def to_config(self) -> dict[str, Any]:
        """What tells two pipelines apart; nothing builds one from it."""
        return {"pipeline": _ADDRESS.sub("", repr(self.pipeline))}

    def deterministic(self) -> None:
        """Prediction and evaluation go without it."""
        if not self._is_told:
            logger.warning("Evaluation and prediction leave the albumentations pipeline out")
            self._is_told = True

    def check(self, context: ImageContext) -> None:
        """Raise ValueError for images with values beyond 8 bits."""
        if context.keeps_values:
            raise ValueError(
                "albumentations takes pixels of 0 to 255, but these images keep their values (max_val of "
                "Normalize); use this project's operators"
            )

    def smallest_size(self, height: int, width: int) -> None:
        """What it does may be measured in pixels."""
        return

    def __call__(self, aug_input: Sample) -> Transform:
        """Put a sample through; its objects stand where they are now."""
        image = _in_rgb(aug_input.image, aug_input.context)
        objects = aug_input.annotations() if self._moves_pixels else []
        masks = [item.rasterized(*aug_input.size).astype(np.uint8) for item in objects]
        returned = self._run(image, objects, masks)
        changed = _checked(returned["image"], image)
        aug_input.image = _in_rgb(changed, aug_input.context)  # the same swap leads back
        if self._moves_pixels:
            entries = (
                _entry(objects[k], masks[k], returned["masks"][k])
                for k in self._remaining(returned, len(objects))
            )
            aug_input.layers = [Layer([entry for entry in entries if entry])]
        return d2.NoOpTransform()

    def _run(
        self, image: np.ndarray, objects: Sequence[Annotation], masks: list[np.ndarray]
    ) -> dict[str, Any]:
        # albumentations 1.4 and later have random numbers of their own; earlier ones take the global ones
        if hasattr(self.pipeline, "set_random_state"):
            seed = np.random.randint(2**31)
            self.pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        inputs: dict[str, Any] = {"image": image}
        if masks:
            inputs["masks"] = masks
        if self._box_params and self._moves_pixels:
            inputs |= self._boxes(objects, image.shape[:2])
        return {"masks": []} | self.pipeline(**inputs)

    @property
    def _box_params(self) -> Any:
        """`BboxParams` of a Compose; None without."""
        processor = getattr(self.pipeline, "processors", {}).get("bboxes")
        return processor.params if processor else None

    def _boxes(self, objects: Sequence[Annotation], size: Sequence[int]) -> dict[str, Any]:
        """Boxes in the form that the pipeline says; their labels are the indices of the objects."""
        params = self._box_params
        indices = list(range(len(objects)))
        boxes = [_box_as(params.format, item.box, size) for item in objects]
        if not params.label_fields:
            return {"bboxes": [[*box, index] for box, index in zip(boxes, indices, strict=True)]}
        return {"bboxes": boxes} | {name: list(indices) for name in params.label_fields}

    def _remaining(self, returned: dict[str, Any], count: int) -> list[int]:
        """Indices of the objects whose boxes the pipeline has kept."""
        params = self._box_params
        if not params:
            return list(range(count))
        if params.label_fields:
            return [int(index) for index in returned[next(iter(params.label_fields))]]
        return [int(box[4]) for box in returned["bboxes"]]


def _leaves(pipeline: Any) -> Iterator[Any]:
    """The transforms of a pipeline that are no compositions."""
    inner = getattr(pipeline, "transforms", None)
    if inner is None:
        yield pipeline
        return
    for transform in inner:
        yield from _leaves(transform)


def _is_image_only(transform: Any) -> bool:
    return any(kind.__name__ in ("ImageOnlyTransform", "NoOp") for kind in type(transform).__mro__)


def _in_rgb(image: np.ndarray, context: ImageContext) -> np.ndarray:
    """Colours in the other order where images are BGR."""
    if context.image_format == "BGR" and image.shape[2] == 3:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(image)


def _checked(changed: Any, before: np.ndarray) -> np.ndarray:
    is_array = isinstance(changed, np.ndarray) and changed.ndim in (2, 3)
    if is_array and changed.ndim == 2:
        changed = changed[:, :, None]
    if not is_array or changed.dtype != before.dtype or changed.shape[2] != before.shape[2]:
        what = f"{changed.dtype} {changed.shape}" if is_array else type(changed).__name__
        raise ValueError(
            f"the albumentations pipeline made {what} of an image of {before.dtype} {before.shape}; leave "
            "Normalize, ToFloat and ToTensorV2 out, the network does that itself"
        )
    return changed


def _box_as(form: str, box: np.ndarray, size: Sequence[int]) -> list[float]:
    """A box XYXY in pixels as `BboxParams.format` says."""
    height, width = size
    x1, y1, x2, y2 = (float(value) for value in box)
    if form == "coco":
        return [x1, y1, x2 - x1, y2 - y1]
    if form == "pascal_voc":
        return [x1, y1, x2, y2]
    if form == "yolo":
        return [
            (x1 + x2) / 2 / width,
            (y1 + y2) / 2 / height,
            (x2 - x1) / width,
            (y2 - y1) / height,
        ]
    return [x1 / width, y1 / height, x2 / width, y2 / height]


def _entry(item: Annotation, before: np.ndarray, after: np.ndarray) -> dict[str, Any] | None:
    """The annotation of an object behind the pipeline; None when nothing of it is left."""
    plain = {"category_id": item.category, "iscrowd": int(item.is_crowd)}
    if np.array_equal(before, after):  # also of one size
        polygons = [points.reshape(-1).tolist() for points in item.polygons or []]
        box = {"bbox": item.box, "bbox_mode": BoxMode.XYXY_ABS}
        return {**plain, **box, "segmentation": polygons}
    rle = mask_util.encode(np.asfortranarray(after > 0, np.uint8))
    if not mask_util.area(rle):
        return None
    box = {"bbox": mask_util.toBbox(rle).tolist(), "bbox_mode": BoxMode.XYWH_ABS}
    return {**plain, **box, "segmentation": [] if item.is_crowd else rle}
