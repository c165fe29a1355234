"""What every data set is: checked records, class names, and ground truth for evaluation.

Origin: the attributes are those of PaddleX's `paddlex.datasets`. Differences: classes are in order
of their category id, images without objects are kept and train as pure background, and
`set_num_samples` chooses the first images, so that evaluation knows which ground truth counts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO

from ...config.dataset_params import WITHOUT_EFFECT
from ..images import IMAGE_SUFFIXES
from .files import pictures_in, read_headers
from .image_list import ImageNames
from .problems import DatasetError
from .records import PackedRecords, Record, build_coco, describe

if TYPE_CHECKING:
    from ..transforms.compose import Compose

logger = logging.getLogger(__name__)


_CROWD_REMEDY = (
    "CVAT and others export every mask so: set iscrowd to 0 for masks of single objects, or export "
    "polygons"
)


class Content(NamedTuple):
    """What a format's reader hands over.

    Attributes:
        name: what messages call the data set.
        categories: COCO categories, sorted by id; class k is the k-th of them.
        records: Detectron2 standard dicts, boxes XYWH in pixels, classes from 0.
        names: what lists of images call the pictures; None: their absolute paths.
    """

    name: str
    categories: list[dict[str, Any]]
    records: PackedRecords
    names: ImageNames | None = None


class DetectionDataset:
    """Images with instance masks. Subclasses read one annotation format each, in `_read`.

    The arguments of a subclass are the rows of its dataclass in `config/dataset_params.py`, checked before
    its constructor runs; those of an experiment file are checked already (`open_dataset`).

    Attributes:
        name: what messages call this data set.
        categories: COCO categories (id, name, supercategory) in order of id.
        transforms: the operators to apply, or None.
        shuffle: whether training sees the images in random order.
        num_workers: loader processes, or 'auto'.
        metric: 'COCO' or 'VOC', how it is evaluated when nobody says otherwise.
    """

    metric = "COCO"

    def _open(self, params: Any) -> None:
        """All that a constructor does.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if `transforms` is no Compose.
        """
        transforms = params.transforms
        if not _are_transforms(transforms):  # unknown to the schema
            raise ValueError(
                f"{type(self).__name__}.transforms is {transforms!r}; a Compose or None is needed: "
                f"put the operators in transforms.Compose([...])"
            )
        if any(getattr(params, name, value) != value for name, value in WITHOUT_EFFECT.items()):
            logger.warning(
                "buffer_size and parallel_method have no effect: batches are always prepared by "
                "num_workers processes"
            )
        self.transforms: Compose | None = transforms
        self.num_workers: int | str = params.num_workers
        self.shuffle: bool = params.shuffle
        content = self._read(params)
        self.name, self.categories = content.name, content.categories
        self._all_records = content.records
        self._list_names = content.names
        self._num_samples = len(self._all_records)
        self._coco_gt: COCO | None = None

    def _read(self, params: Any) -> Content:
        """What the arguments name, after reporting all that is wrong with it."""
        raise NotImplementedError

    @property
    def labels(self) -> list[str]:
        """Names of the foreground classes; the index is the class."""
        return [category["name"] for category in self.categories]

    @property
    def category_ids(self) -> list[int]:
        """Category ids as the annotation file has them, in the order of `labels`."""
        return [category["id"] for category in self.categories]

    @property
    def records(self) -> PackedRecords:
        """A Detectron2 standard dict for each image, `num_samples` of them; made anew when asked for."""
        return self._all_records[: self._num_samples]

    @property
    def sizes(self) -> np.ndarray:
        """(num_samples, 2) height and width of the images in pixels."""
        return self._all_records.sizes[: self._num_samples]

    @property
    def num_samples(self) -> int:
        """Images in use, those without objects included."""
        return self._num_samples

    @property
    def file_list(self) -> list[list[Any]]:
        """Pairs [image file, record], as PaddleX lists them."""
        return [[record["file_name"], record] for record in self.records]

    def image_names(self) -> list[str]:
        """What a file given as `image_list` calls the images in use, in their order.

        These are paths from data_dir (YOLO: from the folder of data.yaml) with forward slashes, as the data
        set has them. Of data sets without that argument they are absolute.
        """
        files = (record["file_name"] for record in self.records)
        return [self._list_names.of(file) if self._list_names else file for file in files]

    @property
    def coco_gt(self) -> COCO:
        """The images in use and their objects for pycocotools, with the file's own ids."""
        if self._coco_gt is None:
            self._coco_gt = build_coco(self.records, self.categories)
        return self._coco_gt

    def set_num_samples(self, num_samples: int) -> None:
        """Use the first `num_samples` images only.

        Raises:
            ValueError: if it is not between 1 and the number of images.
        """
        if not isinstance(num_samples, int) or not 1 <= num_samples <= len(self._all_records):
            raise ValueError(
                f"set_num_samples: num_samples must be an integer from 1 to "
                f"{len(self._all_records)} (the images of {self.name}), got {num_samples!r}"
            )
        self._num_samples = num_samples
        self._coco_gt = None

    def add_negative_samples(self, image_dir: str | os.PathLike[str]) -> None:
        """Add every picture of a folder as an image without objects.

        Raises:
            ValueError: if the folder does not exist or has no pictures.
            DatasetError: if a picture cannot be read.
        """
        next_id = 1 + max((record["image_id"] for record in self._all_records), default=0)
        added = PackedRecords(_negatives(Path(image_dir), next_id))
        self._all_records = self.records + added
        self._num_samples = len(self._all_records)
        self._coco_gt = None

    def require_objects(self) -> None:
        """Refuse to learn from nothing; warn when most annotations are crowd regions.

        Raises:
            DatasetError: if no annotation is an object to learn.
        """
        crowd = self.records.is_crowd
        total, regions = len(crowd), int(crowd.sum())
        if total == 0:
            raise DatasetError(
                f"{self.name}: there is no object to learn: none of the {self.num_samples} images "
                f"has an annotation"
            )
        if regions == total:
            raise DatasetError(
                f"{self.name}: there is no object to learn: all {total} annotations are crowd regions "
                f"(iscrowd 1), which training leaves out; {_CROWD_REMEDY}"
            )
        if 2 * regions > total:
            logger.warning(
                "%s: %d of %d annotations are crowd regions (iscrowd 1), which training leaves out; %s",
                self.name, regions, total, _CROWD_REMEDY,
            )  # fmt: skip

    def describe(self) -> str:
        """One paragraph: how many images, objects of each class, crowd regions, empty images."""
        return describe(self.name, self.records, self.labels)


def as_categories(labels: Sequence[str]) -> list[dict[str, Any]]:
    """COCO categories of class names, numbered from 1 as PaddleX does."""
    return [{"id": k, "name": name, "supercategory": name} for k, name in enumerate(labels, 1)]


def check_dataset(value: object, argument: str) -> None:
    """Raise ValueError when what was given for `argument` is no data set."""
    if not isinstance(value, DetectionDataset):
        raise ValueError(f"{argument} is {value!r}; a data set of pdx.datasets is needed")


def _negatives(folder: Path, next_id: int) -> list[Record]:
    if not folder.is_dir():
        raise ValueError(f"add_negative_samples: image_dir {str(folder)!r} is not a folder")
    paths = pictures_in(folder)
    if not paths:
        raise ValueError(
            f"add_negative_samples: no pictures in {str(folder)!r} "
            f"(looked for {', '.join(IMAGE_SUFFIXES)})"
        )
    headers = read_headers(paths)
    failures = [(p, h) for p, h in zip(paths, headers, strict=True) if isinstance(h, str)]
    if failures:
        listed = "; ".join(f"{path.name} ({reason})" for path, reason in failures[:10])
        raise DatasetError(
            f"add_negative_samples: {len(failures)} unreadable images in {folder}: {listed}"
        )
    sizes = [header.upright for header in headers if not isinstance(header, str)]
    return [
        {
            "file_name": os.path.abspath(path),
            "height": height,
            "width": width,
            "image_id": next_id + k,
            "annotations": [],
        }
        for k, (path, (height, width)) in enumerate(zip(paths, sizes, strict=True))
    ]


def _are_transforms(value: Any) -> bool:
    if value is None:
        return True
    # operators need torch, which only to read annotations is not worth seconds
    from ..transforms.compose import Compose

    return isinstance(value, Compose)
