"""COCO annotation files.

Origin: PaddleX `CocoDetection`. Differences: classes are in order of category id; RLE masks work;
crowd regions are kept and marked (PaddleX dropped them, and they trained as background); images
without objects train as background (PaddleX dropped them but counted them); data problems are found
while loading and reported together.

The one rule for bad data: whatever is wrong is collected, counted by kind with file and ids, and
stops with one `DatasetError`. With `skip_invalid=True` single bad annotations are left out with one
warning; problems of whole files still stop. Boxes that reach over the border are cut at it.

Where a photograph's EXIF orientation swaps its sides, width and height in the json say whether its
annotations were drawn on the upright or on the stored pixels; those pixels are then read.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..transforms.compose import Compose
from .annotations import RawObject
from .base import DetectionDataset
from .coco_file import CocoFile, is_id
from .misplaced import point_to_pictures
from .options import check_flag, check_reading_options, note_without_effect
from .problems import DatasetError, Kind
from .reading import MISSING_IMAGE, Parsed, Picture, Reading
from .records import PackedRecords

UNKNOWN_CATEGORY = Kind(
    "category id that is not in categories", "add the category, or correct category_id"
)
UNKNOWN_IMAGE = Kind(
    "image id that is not in images", "add the image, or delete the annotation", skippable=True
)
BAD_ANNOTATION_ID = Kind(
    "annotation without an integer id of its own", "number the annotations without repeating"
)


class CocoDetection(DetectionDataset):
    """Images of a folder with the objects of a COCO instance annotation file."""

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        ann_file: str | os.PathLike[str],
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        buffer_size: int = 100,
        parallel_method: str = "process",
        shuffle: bool = False,
        *,
        skip_invalid: bool = False,
    ) -> None:
        """Read and check annotations and image headers.

        Args:
            data_dir: the folder that `file_name` in the json starts from.
            ann_file: the json.
            num_workers: loader processes, or 'auto' for half the cores, at most eight.
            buffer_size: accepted for PaddleX scripts; has no effect.
            parallel_method: accepted for PaddleX scripts; has no effect.
            shuffle: whether training sees the images in random order.
            skip_invalid: leave out single bad annotations instead of stopping.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        check_reading_options("CocoDetection", transforms, num_workers, shuffle)
        check_flag("CocoDetection", "skip_invalid", skip_invalid)
        note_without_effect(buffer_size, parallel_method)
        self.data_dir = os.fspath(data_dir)
        self.ann_file = os.fspath(ann_file)
        categories, records = _read(Path(data_dir), Path(ann_file), skip_invalid)
        super().__init__(
            name=self.ann_file,
            categories=categories,
            records=records,
            transforms=transforms,
            num_workers=num_workers,
            shuffle=shuffle,
        )


def _read(
    data_dir: Path, ann_file: Path, skip_invalid: bool
) -> tuple[list[dict[str, Any]], PackedRecords]:
    """Categories and records of a file, after reporting everything that is wrong with it."""
    if not data_dir.is_dir():
        raise DatasetError(f"data_dir {str(data_dir)!r} is not a folder")
    with _garbage_left_alone():
        return _read_all(data_dir, ann_file, skip_invalid)


@contextmanager
def _garbage_left_alone() -> Iterator[None]:
    """No garbage collection inside: it would walk millions of parsed objects, all in use."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_all(
    data_dir: Path, ann_file: Path, skip_invalid: bool
) -> tuple[list[dict[str, Any]], PackedRecords]:
    reading = Reading(f"{ann_file} (data_dir {str(data_dir)!r})")
    file = CocoFile(ann_file, reading.problems)
    by_image = _by_image(file, reading)
    classes = {category["id"]: k for k, category in enumerate(file.categories)}
    sizes = {image["id"]: (image["height"], image["width"]) for image in file.images}
    names = {image["id"]: image["file_name"] for image in file.images}

    def parse(picture: Picture) -> Parsed:
        objects = [
            _raw_object(one, classes[one["category_id"]], _Where(one, names))
            for one in by_image.pop(picture.image_id, ())
            if one["category_id"] in classes  # otherwise named with its category
        ]
        return Parsed(sizes[picture.image_id], lambda frame: objects)

    records = reading.records(_pictures(file, data_dir), parse)
    point_to_pictures(reading.problems, MISSING_IMAGE, data_dir, list(names.values()))
    reading.finish(skip_invalid)
    return file.categories, records


def _pictures(file: CocoFile, data_dir: Path) -> list[Picture]:
    folder = os.path.abspath(data_dir)
    return [
        Picture(
            os.path.normpath(os.path.join(folder, image["file_name"])),
            f"image {image['id']} ({image['file_name']!r})",
            image["id"],
        )
        for image in file.images
    ]


def _by_image(file: CocoFile, reading: Reading) -> dict[int, list[dict[str, Any]]]:
    """The annotations of each image that is complete; ids that are not known are noted."""
    names = {image["id"]: image["file_name"] for image in file.images}
    by_image: dict[int, list[dict[str, Any]]] = {number: [] for number in names}
    seen: set[int] = set()
    for annotation in file.annotations:
        if not _ids_are_known(annotation, file, seen, reading, names):
            continue
        if annotation["image_id"] in by_image:  # otherwise named with its own entry
            by_image[annotation["image_id"]].append(annotation)
    return by_image


class _Where:
    """The name of an annotation in messages, put into words only when there is one."""

    __slots__ = ("annotation", "names")

    def __init__(self, annotation: dict[str, Any], names: dict[int, str]) -> None:
        self.annotation, self.names = annotation, names

    def __str__(self) -> str:
        number, image_id = self.annotation.get("id"), self.annotation.get("image_id")
        is_known = is_id(image_id) and image_id in self.names
        name = f" {self.names[image_id]!r}" if is_known else ""  # type: ignore[index]
        return f"annotation {number} (image {image_id}{name})"


def _ids_are_known(
    annotation: dict[str, Any],
    file: CocoFile,
    seen: set[int],
    reading: Reading,
    names: dict[int, str],
) -> bool:
    """Whether all three ids are good; problems are added for those that are not."""
    number, image_id = annotation.get("id"), annotation.get("image_id")
    category_id = annotation.get("category_id")
    is_new = is_id(number) and number not in seen
    has_category = is_id(category_id) and category_id in file.category_ids
    has_image = is_id(image_id) and image_id in file.image_ids
    if is_new:
        seen.add(number)  # type: ignore[arg-type]
    if is_new and has_category and has_image:
        return True
    where = str(_Where(annotation, names))
    if not is_new:
        reading.problems.add(BAD_ANNOTATION_ID, where)
    if not has_category:
        reading.problems.add(UNKNOWN_CATEGORY, f"{where}: category_id {category_id!r}")
    if not has_image:
        reading.problems.add(UNKNOWN_IMAGE, where)
    return False


def _raw_object(annotation: dict[str, Any], category: int, where: _Where) -> RawObject:
    return RawObject(
        where,
        category,
        annotation.get("segmentation"),
        annotation.get("bbox"),
        annotation.get("area"),
        is_crowd=bool(annotation.get("iscrowd", 0)),
        is_ignored=bool(annotation.get("ignore", 0)),
        number=annotation["id"],
    )
