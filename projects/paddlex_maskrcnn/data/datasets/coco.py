"""COCO annotation files.

Origin: PaddleX `CocoDetection`. Differences: classes are in order of category id; RLE masks work;
crowd regions are kept and marked (PaddleX dropped them, and they trained as background); images
without objects train as background (PaddleX dropped them but counted them); data problems are found
while loading and reported together.

The one rule for bad data: whatever is wrong is collected, counted by kind with file and ids, and
stops with one `DatasetError`. With `skip_invalid=True` single bad annotations are left out with one
warning; problems of whole files still stop. Boxes that reach over the border are cut at it.
"""

import logging
import os
from pathlib import Path
from typing import Any

from ..transforms.compose import Compose
from .base import DetectionDataset, check_reading_options
from .coco_file import CocoFile, is_id
from .image_files import read_sizes
from .objects import ImageFrame, ObjectChecker
from .problems import DatasetError, Kind, Problems

logger = logging.getLogger(__name__)

MISSING_IMAGE = Kind(
    "missing image", "data_dir joined with file_name must be a file: check data_dir first"
)
UNREADABLE_IMAGE = Kind("unreadable image", "replace the file, or take it out of the json")
OTHER_SIZE = Kind(
    "image of another size than the json says",
    "if width and height are swapped, the annotations ignore the photograph's EXIF rotation: save "
    "it without; otherwise annotate the file that is there",
)
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
        if not isinstance(skip_invalid, bool):
            raise ValueError(f"skip_invalid must be True or False, got {skip_invalid!r}")
        if buffer_size != 100 or parallel_method != "process":
            logger.warning(
                "buffer_size and parallel_method have no effect: batches are always prepared by "
                "num_workers processes"
            )
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
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Categories and records of a file, after reporting everything that is wrong with it."""
    if not data_dir.is_dir():
        raise DatasetError(f"data_dir {str(data_dir)!r} is not a folder")
    problems = Problems(f"{ann_file} (data_dir {str(data_dir)!r})")
    file = CocoFile(ann_file, problems)
    records = [_record(image, data_dir) for image in file.images]
    _check_pictures(records, file.images, problems)
    _add_annotations(records, file, problems)
    if problems.found and problems.stopping(skip_invalid):
        raise DatasetError(problems.report(skip_invalid))
    if problems.found:
        logger.warning(problems.report(skip_invalid))
    if problems.repaired:
        logger.warning(problems.note())
    return file.categories, records


def _record(image: dict[str, Any], data_dir: Path) -> dict[str, Any]:
    return {
        "file_name": os.path.abspath(data_dir / image["file_name"]),
        "height": image["height"],
        "width": image["width"],
        "image_id": image["id"],
        "annotations": [],
    }


def _check_pictures(
    records: list[dict[str, Any]], images: list[dict[str, Any]], problems: Problems
) -> None:
    sizes, failures = read_sizes([Path(record["file_name"]) for record in records])
    reasons = {str(path): reason for path, reason in failures}
    for record, image, (height, width) in zip(records, images, sizes, strict=True):
        where = f"image {record['image_id']} ({image['file_name']!r})"
        reason = reasons.get(record["file_name"])
        if reason == "missing":
            problems.add(MISSING_IMAGE, where)
        elif reason is not None:
            problems.add(UNREADABLE_IMAGE, f"{where}: {reason}")
        elif (height, width) != (record["height"], record["width"]):
            said = f"{record['width']}x{record['height']}"
            problems.add(OTHER_SIZE, f"{where}: the file is {width}x{height}, the json says {said}")


def _add_annotations(records: list[dict[str, Any]], file: CocoFile, problems: Problems) -> None:
    by_id = {record["image_id"]: record for record in records}
    names = {image["id"]: image["file_name"] for image in file.images}
    classes = {category["id"]: k for k, category in enumerate(file.categories)}
    checker = ObjectChecker(problems)
    seen: set[Any] = set()
    for annotation in file.annotations:
        where = _where(annotation, names)
        if not _ids_are_known(annotation, file, seen, problems, where):
            continue
        record = by_id.get(annotation["image_id"])
        category = classes.get(annotation["category_id"])
        if record is not None and category is not None:  # otherwise named with its own entry
            _add_object(record, annotation, category, checker, where)


def _where(annotation: dict[str, Any], names: dict[int, str]) -> str:
    image_id = annotation.get("image_id")
    name = f" {names[image_id]!r}" if is_id(image_id) and image_id in names else ""
    return f"annotation {annotation.get('id')} (image {image_id}{name})"


def _ids_are_known(
    annotation: dict[str, Any], file: CocoFile, seen: set[Any], problems: Problems, where: str
) -> bool:
    """Whether all three ids are good; problems are added for those that are not."""
    number, image_id = annotation.get("id"), annotation.get("image_id")
    category_id = annotation.get("category_id")
    is_new = is_id(number) and number not in seen
    has_category = is_id(category_id) and category_id in file.category_ids
    has_image = is_id(image_id) and image_id in file.image_ids
    if is_new:
        seen.add(number)
    else:
        problems.add(BAD_ANNOTATION_ID, where)
    if not has_category:
        problems.add(UNKNOWN_CATEGORY, f"{where}: category_id {category_id!r}")
    if not has_image:
        problems.add(UNKNOWN_IMAGE, where)
    return is_new and has_category and has_image


def _add_object(
    record: dict[str, Any],
    annotation: dict[str, Any],
    category: int,
    checker: ObjectChecker,
    where: str,
) -> None:
    frame = ImageFrame(record["height"], record["width"])
    bbox, segmentation = annotation.get("bbox"), annotation.get("segmentation")
    found = checker.check(bbox, segmentation, annotation.get("area"), frame, where)
    if found is not None:
        crowd = int(bool(annotation.get("iscrowd", 0)))
        ids = {"category_id": category, "iscrowd": crowd, "id": annotation["id"]}
        record["annotations"].append({**found, **ids})
