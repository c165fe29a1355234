"""Annotations of a data set as columns, from a plain COCO dict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..garbage_collection import collection_paused
from .results import BBOX, ResultRows


class Truth:
    """What was annotated, in order of image and, inside an image, in the file's order.

    Attributes:
        image_ids: (I,) sorted ids of the images.
        sizes: (I, 2) height and width in pixels.
        category_ids: (K,) sorted.
        names: class names in the order of `category_ids`.
        supercategories: likewise; empty where the file has none.
        images, classes: (M,) places in `image_ids` and `category_ids` of each annotation.
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
        images = sorted(dataset["images"], key=lambda one: one["id"])
        categories = sorted(dataset["categories"], key=lambda one: one["id"])
        self.image_ids = np.array([one["id"] for one in images], np.int64)
        self.sizes = np.array([(one["height"], one["width"]) for one in images]).reshape(-1, 2)
        self.file_names = [one.get("file_name", str(one["id"])) for one in images]
        self.category_ids = np.array([one["id"] for one in categories], np.int64)
        self.names = [one["name"] for one in categories]
        self.supercategories = [one.get("supercategory") or "" for one in categories]
        annotations = dataset["annotations"]
        of_image = self.places_of_images([one["image_id"] for one in annotations], "an annotation")
        order = np.argsort(of_image, kind="stable")
        self._annotations: list[dict[str, Any]] = [annotations[i] for i in order]
        self.images = of_image[order]
        self.classes = self.places_of_categories(
            [one["category_id"] for one in self._annotations], "an annotation"
        )
        self.crowd = np.array([bool(one.get("iscrowd", 0)) for one in self._annotations], bool)
        self.annotation_ids = np.array([one["id"] for one in self._annotations], np.int64)
        self.boxes = np.array([one["bbox"] for one in self._annotations], float).reshape(-1, 4)

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
            _rle(one["segmentation"], *size)
            for one, size in zip(self._annotations, sizes, strict=True)
        ]

    @cached_property
    def areas(self) -> np.ndarray:
        found = [one.get("area") for one in self._annotations]
        if None in found:
            found = [
                measured if given is None else given
                for given, measured in zip(found, self.mask_areas, strict=True)
            ]
        return np.array(found, float)

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
        self.places_of_images(results.image_ids, "a result")
        self.places_of_categories(results.category_ids, "a result")

    def places_of_images(self, ids: Sequence[int] | np.ndarray, whose: str) -> np.ndarray:
        """Place of each image id in `image_ids`.

        Raises:
            ValueError: when there is no such image.
        """
        return _places(self.image_ids, ids, whose, "image_id")

    def places_of_categories(self, ids: Sequence[int] | np.ndarray, whose: str) -> np.ndarray:
        """Place of each category id in `category_ids`.

        Raises:
            ValueError: when there is no such category.
        """
        return _places(self.category_ids, ids, whose, "category_id")

    @collection_paused()
    def as_coco(self, kind: str) -> dict[str, Any]:
        """A COCO dict for evaluators, who write into it: fresh, and annotation ids from 1.

        pycocotools takes an annotation with id 0 for no match at all, and its AP is too low then.
        """
        sizes = self.sizes.tolist()
        return {
            "images": [
                {"id": one, "height": height, "width": width}
                for one, (height, width) in zip(self.image_ids.tolist(), sizes, strict=True)
            ],
            "categories": [
                {"id": one, "name": name}
                for one, name in zip(self.category_ids.tolist(), self.names, strict=True)
            ],
            "annotations": self._rows(kind),
        }

    def _rows(self, kind: str) -> list[dict[str, Any]]:
        rows = [
            {"id": n, "image_id": image, "category_id": category, "bbox": box, "area": area,
             "iscrowd": crowd}
            for n, (image, category, box, area, crowd) in enumerate(
                zip(
                    self.image_ids[self.images].tolist(),
                    self.category_ids[self.classes].tolist(),
                    self.boxes.tolist(),
                    self.areas.tolist(),
                    self.crowd.astype(int).tolist(),
                    strict=True,
                ),
                start=1,
            )
        ]  # fmt: skip
        if kind == BBOX:
            return rows
        return [row | {"segmentation": mask} for row, mask in zip(rows, self.masks, strict=True)]


def mask_areas(masks: Sequence[Any]) -> np.ndarray:
    """(N,) square pixels of run-length masks.

    In portions: pycocotools 2.0.11 fails on a list of more than 255 with NumPy 2.
    """
    portions = [masks[i : i + 255] for i in range(0, len(masks), 255)]
    return np.concatenate([np.zeros(0), *(coco_mask.area(one) for one in portions)])


def _rle(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """Compressed form of polygons, of an uncompressed or of a compressed mask."""
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return segmentation


def _places(known: np.ndarray, ids: Sequence[int] | np.ndarray, whose: str, key: str) -> np.ndarray:
    wanted = np.asarray(ids, np.int64)
    places = np.searchsorted(known, wanted)
    missing = wanted[known.take(places, mode="clip") != wanted] if len(known) else wanted
    if len(missing):
        raise ValueError(
            f"{whose} has {key} {missing[0]}, which the annotations do not have"
            f" ({len(known)} ids{f' from {known[0]} to {known[-1]}' if len(known) else ''});"
            " do both belong to the same data set?"
        )
    return places
