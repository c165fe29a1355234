"""Annotations of a data set as columns, from a plain COCO dict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from .results import ResultRows


class Truth:
    """What was annotated, in order of image and, inside an image, in the file's order.

    Attributes:
        image_ids: (I,) sorted ids of the images.
        sizes: (I, 2) height and width in pixels.
        category_ids: (K,) sorted.
        names: class names in the order of `category_ids`.
        supercategories: likewise; empty where the file has none.
        images, classes: (M,) index of each annotation in `image_ids` and `category_ids`.
        crowd: (M,) bool; neither found nor missed, detections inside are not counted.
        areas: (M,) square pixels, as annotated.
        annotation_ids: (M,) the file's own.
        boxes: (M, 4) x, y, width, height.
    """

    def __init__(self, dataset: dict[str, Any]) -> None:
        """Read a COCO dict: images, annotations, categories.

        Raises:
            ValueError: when an annotation belongs to no image or class of the dict.
        """
        images = sorted(dataset["images"], key=lambda image: image["id"])
        categories = sorted(dataset["categories"], key=lambda category: category["id"])
        self.image_ids = np.array([image["id"] for image in images], np.int64)
        sizes = [(image["height"], image["width"]) for image in images]
        self.sizes = np.array(sizes).reshape(-1, 2)
        self.file_names = [image.get("file_name", str(image["id"])) for image in images]
        self.category_ids = np.array([category["id"] for category in categories], np.int64)
        self.names = [category["name"] for category in categories]
        self.supercategories = [category.get("supercategory") or "" for category in categories]
        rows = dataset["annotations"]
        of_image = self.image_indices([row["image_id"] for row in rows], "an annotation")
        order = np.argsort(of_image, kind="stable")
        self._rows: list[dict[str, Any]] = [rows[i] for i in order]
        self.images = of_image[order]
        categories_of_rows = [row["category_id"] for row in self._rows]
        self.classes = self.category_indices(categories_of_rows, "an annotation")
        self.crowd = np.array([bool(row.get("iscrowd", 0)) for row in self._rows], bool)
        self.annotation_ids = np.array([row["id"] for row in self._rows], np.int64)
        self.boxes = np.array([row["bbox"] for row in self._rows], float).reshape(-1, 4)

    @classmethod
    def of(cls, truth: Any) -> Truth:
        """From a COCO dict, or from pycocotools' `COCO`, which holds one."""
        if isinstance(truth, cls):
            return truth
        return cls(truth if isinstance(truth, dict) else truth.dataset)

    @cached_property
    def masks(self) -> list[dict[str, Any]]:
        """Compressed run-length mask of each annotation, counts as bytes."""
        sizes = self.sizes[self.images].tolist()
        return [
            _rle(row["segmentation"], *size) for row, size in zip(self._rows, sizes, strict=True)
        ]

    @cached_property
    def areas(self) -> np.ndarray:
        areas = [row.get("area") for row in self._rows]
        if None in areas:  # masks are only read when they are needed
            areas = [
                measured if given is None else given
                for given, measured in zip(areas, self.mask_areas, strict=True)
            ]
        return np.array(areas, float)

    @cached_property
    def mask_areas(self) -> np.ndarray:
        """(M,) pixels of each mask; `areas` has what the file says."""
        return mask_areas(self.masks)

    @property
    def num_objects(self) -> np.ndarray:
        """(K,) annotated objects of each class, crowd regions left out."""
        return np.bincount(self.classes[~self.crowd], minlength=len(self.category_ids))

    def check(self, results: ResultRows) -> None:
        """Raise ValueError when results belong to images or classes that are not annotated here."""
        self.image_indices(results.image_ids, "a result")
        self.category_indices(results.category_ids, "a result")

    def image_indices(self, ids: Sequence[int] | np.ndarray, whose: str) -> np.ndarray:
        """Index of each image id in `image_ids`.

        Raises:
            ValueError: when there is no such image.
        """
        return _indices(self.image_ids, ids, whose, "image_id")

    def category_indices(self, ids: Sequence[int] | np.ndarray, whose: str) -> np.ndarray:
        """Index of each category id in `category_ids`.

        Raises:
            ValueError: when there is no such category.
        """
        return _indices(self.category_ids, ids, whose, "category_id")


def mask_areas(masks: Sequence[Any]) -> np.ndarray:
    """(N,) square pixels of run-length masks.

    In portions: pycocotools 2.0.11 fails on a list of more than 255 with NumPy 2.
    """
    portions = [masks[i : i + 255] for i in range(0, len(masks), 255)]
    return np.concatenate([np.zeros(0), *map(coco_mask.area, portions)])


def _rle(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """Compressed form of polygons, of an uncompressed or of a compressed mask."""
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return segmentation


def _indices(
    valid_ids: np.ndarray, ids: Sequence[int] | np.ndarray, whose: str, key: str
) -> np.ndarray:
    wanted = np.asarray(ids, np.int64)
    indices = np.searchsorted(valid_ids, wanted)
    missing = wanted
    if len(valid_ids):
        missing = wanted[valid_ids.take(indices, mode="clip") != wanted]
    if len(missing):
        span = f" from {valid_ids[0]} to {valid_ids[-1]}" if len(valid_ids) else ""
        raise ValueError(
            f"{whose} has {key} {missing[0]}, which the annotations do not have"
            f" ({len(valid_ids)} ids{span}); do both belong to the same data set?"
        )
    return indices
