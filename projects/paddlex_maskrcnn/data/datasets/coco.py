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

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ...config import signatures
from ...config.dataset_params import CocoDetectionParams
from ...config.signature import takes_params
from ...garbage_collection import collection_paused
from .annotations import RawAnnotation
from .base import Content, DetectionDataset
from .files import UnusableFileError, leaves_folder, read_bytes
from .problems import DatasetError, Kind, Problems
from .reading import MISSING_IMAGE, OUTSIDE_FILE, Parsed, Picture, Reading

UNKNOWN_CATEGORY = Kind(
    "category id that is not in categories", "add the category, or correct category_id"
)
UNKNOWN_IMAGE = Kind(
    "image id that is not in images", "add the image, or delete the annotation", skippable=True
)
BAD_ANNOTATION_ID = Kind(
    "annotation without an integer id of its own", "number the annotations without repeating"
)
BAD_IMAGE = Kind(
    "image entry without id, file_name, height and width",
    "each image needs an integer id, a file_name, and height and width in whole pixels",
)
DUPLICATE_IMAGE = Kind("image id given twice", "give each image its own id")
BAD_CATEGORY = Kind("category without id and name", "each category needs an integer id and a name")
DUPLICATE_CATEGORY = Kind(
    "category id or name given twice", "merge the categories, or give each its own id and name"
)

_LONGEST_SIDE = 2**20  # OpenCV's limit
_KEYS = ("images", "annotations", "categories")
_MOST_FOLDERS = 500  # that are looked into for missing pictures


class CocoDetection(DetectionDataset):
    """Images of a folder with the objects of a COCO instance annotation file."""

    @takes_params(CocoDetectionParams, "CocoDetection", like=signatures.CocoDetection)
    def __init__(self, params: CocoDetectionParams) -> None:
        """Read and check annotations and image headers.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        self._open(params)

    def _read(self, params: CocoDetectionParams) -> Content:
        self.data_dir, self.ann_file = params.data_dir, params.ann_file
        if not Path(params.data_dir).is_dir():
            raise DatasetError(f"data_dir {str(Path(params.data_dir))!r} is not a folder")
        with collection_paused():  # it would walk millions of parsed dicts, all in use
            return _content(params)


def _content(params: CocoDetectionParams) -> Content:
    data_dir, ann_file = Path(params.data_dir), Path(params.ann_file)
    reading = Reading(f"{ann_file} (data_dir {str(data_dir)!r})")
    file = CocoFile(ann_file, reading.problems)
    by_image = _by_image(file, reading.problems)
    classes = {category["id"]: k for k, category in enumerate(file.categories)}
    sizes = {image["id"]: (image["height"], image["width"]) for image in file.images}
    names = _names(file)

    def parse(picture: Picture) -> Parsed:
        raw = [
            _raw(annotation, classes[annotation["category_id"]], _Where(annotation, names))
            for annotation in by_image.pop(picture.image_id, ())
            if annotation["category_id"] in classes  # otherwise named with its category
        ]
        return Parsed(sizes[picture.image_id], lambda frame: raw)

    records = reading.records(_pictures(file, data_dir), parse)
    _point_to_pictures(reading.problems, data_dir, list(names.values()))
    reading.problems.finish(params.skip_invalid)
    return Content(params.ann_file, file.categories, records)


def _names(file: CocoFile) -> dict[int, str]:
    """Image id -> file name."""
    return {image["id"]: image["file_name"] for image in file.images}


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


def _by_image(file: CocoFile, problems: Problems) -> dict[int, list[dict[str, Any]]]:
    """The annotations of each image that is complete; ids that are wrong are noted."""
    names = _names(file)
    by_image: dict[int, list[dict[str, Any]]] = {number: [] for number in names}
    seen: set[int] = set()
    for annotation in file.annotations:
        if not _has_good_ids(annotation, file, seen, problems, names):
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
        has_name = is_id(image_id) and image_id in self.names
        name = f" {self.names[image_id]!r}" if has_name else ""  # type: ignore[index]
        return f"annotation {number} (image {image_id}{name})"


def _has_good_ids(
    annotation: dict[str, Any],
    file: CocoFile,
    seen: set[int],
    problems: Problems,
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
        problems.add(BAD_ANNOTATION_ID, where)
    if not has_category:
        problems.add(UNKNOWN_CATEGORY, f"{where}: category_id {category_id!r}")
    if not has_image:
        problems.add(UNKNOWN_IMAGE, where)
    return False


def _raw(annotation: dict[str, Any], category: int, where: _Where) -> RawAnnotation:
    return RawAnnotation(
        where,
        category,
        annotation.get("segmentation"),
        annotation.get("bbox"),
        annotation.get("area"),
        is_crowd=bool(annotation.get("iscrowd", 0)),
        is_ignored=bool(annotation.get("ignore", 0)),
        number=annotation["id"],
    )


def _point_to_pictures(problems: Problems, data_dir: Path, names: Sequence[str]) -> None:
    """Name the right data_dir in the remedy for missing pictures, if all are missing and it is near.

    Args:
        names: file names of all pictures, as the annotations have them.
    """
    missing = problems.occurrences.get(MISSING_IMAGE, [])
    if not names or len(missing) < len(names):
        return
    folder = _folder_with(names[0], data_dir)
    if folder is not None:
        remedy = f"the first one is there with data_dir {str(folder)!r}"
        problems.occurrences = {
            replace(kind, remedy=remedy) if kind == MISSING_IMAGE else kind: wheres
            for kind, wheres in problems.occurrences.items()
        }


def _folder_with(name: str, data_dir: Path) -> Path | None:
    """The folder above or below from which a file name leads to a file."""
    below = (Path(where) for where, _, _ in islice(os.walk(data_dir), _MOST_FOLDERS))
    for folder in (data_dir.absolute().parent, *below):
        if (folder / name).is_file():
            return folder
    return None


class CocoFile:
    """The parts of a COCO file that can be used.

    Attributes:
        categories: id, name, supercategory, sorted by id.
        images: complete entries, in the order of the file.
        annotations: as they are.
        image_ids: all that the file names, those of incomplete entries included.
        category_ids: likewise.
    """

    def __init__(self, path: Path, problems: Problems) -> None:
        """Parse, and add what is wrong with images and categories to `problems`.

        Raises:
            DatasetError: if the file is not COCO json.
        """
        content = _parse(path)
        self.annotations: list[dict[str, Any]] = content["annotations"]
        self.category_ids = {c["id"] for c in content["categories"] if is_id(c.get("id"))}
        self.image_ids = {i["id"] for i in content["images"] if is_id(i.get("id"))}
        self.categories = _categories(content["categories"], problems)
        self.images = _images(content["images"], problems)


def is_id(value: Any) -> bool:
    """Whether this can be an id: an int, and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_bytes(path))
    except UnusableFileError as error:
        raise DatasetError(f"ann_file {str(path)!r}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not json: {error}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} is not COCO json: {_what(content)} instead of an object")
    missing = [key for key in _KEYS if key not in content]
    if missing:
        present = ", ".join(map(repr, list(content)[:8])) or "nothing"
        raise DatasetError(
            f"{path} is not COCO instance json: missing key {', '.join(map(repr, missing))} "
            f"(it has {present})"
        )
    for key in _KEYS:
        value = content[key]
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise DatasetError(f"{path} is not COCO json: {key!r} must be a list of objects")
        if not value and key != "annotations":
            raise DatasetError(f"{path}: {key!r} is empty, there is nothing to train on")
    return content


def _what(content: Any) -> str:
    return "a list" if isinstance(content, list) else f"{content!r:.20}"


def _categories(entries: list[dict[str, Any]], problems: Problems) -> list[dict[str, Any]]:
    categories: list[dict[str, Any]] = []
    ids, names = set(), set()
    for entry in entries:
        number, name = entry.get("id"), entry.get("name")
        where = f"category {number!r} ({name!r})"
        if not is_id(number) or not isinstance(name, str) or not name:
            problems.add(BAD_CATEGORY, where)
        elif number in ids or name in names:
            problems.add(DUPLICATE_CATEGORY, where)
        else:
            ids.add(number)
            names.add(name)
            parent = entry.get("supercategory")
            parent = parent if isinstance(parent, str) and parent else name
            categories.append({"id": number, "name": name, "supercategory": parent})
    return sorted(categories, key=lambda category: category["id"])


def _images(entries: list[dict[str, Any]], problems: Problems) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = []
    seen = set()
    for entry in entries:
        number, name = entry.get("id"), entry.get("file_name")
        where = f"image {number!r} ({name!r})"
        if (
            not is_id(number)
            or not isinstance(name, str)
            or not name
            or not _are_sizes([entry.get("height"), entry.get("width")])
        ):
            problems.add(BAD_IMAGE, where)
        elif number in seen:
            problems.add(DUPLICATE_IMAGE, where)
        elif leaves_folder(path := name.replace("\\", "/")):  # it may come from Windows
            problems.add(OUTSIDE_FILE, where)
        else:
            seen.add(number)
            size = {key: entry[key] for key in ("height", "width")}
            images.append({"id": number, "file_name": path, **size})
    return images


def _are_sizes(values: Iterable[Any]) -> bool:
    return all(is_id(value) and 0 < value <= _LONGEST_SIDE for value in values)
