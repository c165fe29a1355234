"""COCO annotation files.

Origin: PaddleX `CocoDetection`. Differences: classes are in order of category id; RLE masks work;
crowd regions are kept and marked (PaddleX dropped them, and they trained as background); images
without objects train as background (PaddleX dropped them but counted them); data problems are found
while loading and reported together.

The one rule for bad data: whatever is wrong is collected, counted by kind with file and ids, and
stops with one `DatasetError`. With `skip_invalid=True` single bad annotations are left out with one
warning; problems of whole files still stop. Boxes that reach over the border are cut at it.

Ids and sizes that are written as text or with a decimal point are read as the numbers they are, marks as
truth values, in one way for all formats (`values`), and counted as repaired. Categories named `__ignore__`
and `_background_` are none, and their annotations no objects; the ids of the others stay.

Where a photograph's EXIF orientation swaps its sides, width and height in the json say whether its
annotations were drawn on the upright or on the stored pixels; those pixels are then read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ...config import signatures
from ...config.dataset_params import CocoDetectionParams
from ...config.signature import takes_params
from ...garbage_collection import collection_paused
from .annotations import BAD_TRUTH, RawAnnotation
from .base import Content, DetectionDataset
from .coco_file import CocoFile
from .file_names import FileFinder
from .files import is_junk, leaves_folder
from .problems import DatasetError, Kind, Problems
from .reading import MISSING_IMAGE, OUTSIDE_FILE, Parsed, Picture, Reading
from .values import WRITTEN_OTHERWISE, is_integer, is_plain_truth, shown, truth

UNKNOWN_CATEGORY = Kind(
    "category id that is not in categories", "add the category, or correct category_id"
)
UNKNOWN_IMAGE = Kind(
    "image id that is not in images", "add the image, or delete the annotation", skippable=True
)
BAD_ANNOTATION_ID = Kind(
    "annotation without an integer id of its own", "number the annotations without repeating"
)
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
    finder = FileFinder(data_dir)
    reading = Reading(
        f"{ann_file} (data_dir {str(data_dir)!r})",
        data_dir,
        finder=finder,
        image_list=params.image_list,
    )
    file = CocoFile(ann_file, reading.problems)
    by_image = _by_image(file, reading.problems)
    classes = {category["id"]: k for k, category in enumerate(file.categories)}
    sizes = {image["id"]: (image["height"], image["width"]) for image in file.images}
    names = _names(file)

    def parse(picture: Picture) -> Parsed:
        parsed = Parsed(sizes[picture.image_id])
        raw = [
            _raw(annotation, classes, names, parsed)
            for annotation in by_image.pop(picture.image_id, ())
            if annotation["category_id"] in classes  # otherwise named with its category
        ]
        usable = [annotation for annotation in raw if annotation is not None]
        parsed.objects = lambda frame: usable
        return parsed

    records = reading.records(_pictures(file, finder, reading), parse, params.exif)
    _point_to_pictures(reading.problems, data_dir, [each.file_name for each in reading.pictures])
    reading.problems.finish(params.skip_invalid)
    return Content(params.ann_file, file.categories, records, reading.names)


def _names(file: CocoFile) -> dict[int, str]:
    """Image id -> file name."""
    return {image["id"]: image["file_name"] for image in file.images}


def _pictures(file: CocoFile, finder: FileFinder, reading: Reading) -> list[Picture]:
    pictures = []
    for image in file.images:
        name, where = image["file_name"], f"image {image['id']} ({image['file_name']!r:.200})"
        path: str | None = os.path.join(finder.root, name)
        if is_outside := leaves_folder(name):
            path = finder.find(name)
        if path is None:
            reading.problems.add(OUTSIDE_FILE, where + finder.hint(name))
            continue
        if is_outside:
            reading.note_guess(where, path)
        path = os.path.normpath(path)
        pictures.append(Picture(path, where, image["id"], is_guessed=is_outside, file_name=name))
    return pictures


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
        has_name = is_integer(image_id) and image_id in self.names
        name = f" {self.names[image_id]!r}" if has_name else ""  # type: ignore[index]
        return f"annotation {_short(number)} (image {_short(image_id)}{name})"


def _short(number: Any) -> Any:
    return number if number is None or is_integer(number) else shown(number)


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
    is_new = is_integer(number) and number not in seen
    has_category = is_integer(category_id) and category_id in file.category_ids
    has_image = is_integer(image_id) and image_id in file.image_ids
    if is_new:
        seen.add(number)  # type: ignore[arg-type]
    if is_new and has_category and has_image:
        return True
    where = str(_Where(annotation, names))
    if not is_new:
        detail = "" if is_integer(number) else f": id is {shown(number)}"
        problems.add(BAD_ANNOTATION_ID, where + detail)
    if not has_category:
        problems.add(UNKNOWN_CATEGORY, f"{where}: category_id {_as_named(category_id)}")
    if not has_image:
        detail = "" if is_integer(image_id) else f": image_id {_as_named(image_id)}"
        problems.add(UNKNOWN_IMAGE, where + detail)
    return False


def _as_named(number: Any) -> str:
    return str(number) if is_integer(number) else f"is {shown(number)}"


def _raw(
    annotation: dict[str, Any], classes: dict[int, int], names: dict[int, str], parsed: Parsed
) -> RawAnnotation | None:
    where = _Where(annotation, names)
    is_crowd = _mark(annotation, "iscrowd", where, parsed)
    is_ignored = _mark(annotation, "ignore", where, parsed)
    if is_crowd is None or is_ignored is None:
        return None
    return RawAnnotation(
        where,
        classes[annotation["category_id"]],
        annotation.get("segmentation"),
        annotation.get("bbox"),
        annotation.get("area"),
        is_crowd=is_crowd,
        is_ignored=is_ignored,
        number=annotation["id"],
    )


def _mark(annotation: dict[str, Any], key: str, where: _Where, parsed: Parsed) -> bool | None:
    """A truth value; None after noting that it is none."""
    value = annotation.get(key)
    if is_plain_truth(value):
        return bool(value)
    mark = truth(value)
    if mark is None:
        parsed.problems.append((BAD_TRUTH, f"{where}: {key} is {shown(value)}"))
    else:
        parsed.repaired.append((WRITTEN_OTHERWISE, f"{where}: {key}"))
    return mark


def _point_to_pictures(problems: Problems, data_dir: Path, names: Sequence[str]) -> None:
    """Name the right data_dir in the remedy for missing pictures, if all are missing and it is near.

    Args:
        names: file names of the pictures in use, as the annotations have them.
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
    for folder in (data_dir.absolute().parent, *islice(_folders_below(data_dir), _MOST_FOLDERS)):
        if (folder / name).is_file():
            return folder
    return None


def _folders_below(folder: Path) -> Iterator[Path]:
    for where, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if not is_junk(name)]
        yield Path(where)
