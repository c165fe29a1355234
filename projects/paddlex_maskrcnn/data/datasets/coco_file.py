"""The json of a COCO data set: is it one, and are its images and categories complete?"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .problems import DatasetError, Kind, Problems
from .reading import OUTSIDE_FILE, leaves_folder
from .text_files import UnusableFileError, read_bytes

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
        found = ", ".join(map(repr, list(content)[:8])) or "nothing"
        raise DatasetError(
            f"{path} is not COCO instance json: missing key {', '.join(map(repr, missing))} "
            f"(it has {found})"
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
    kept: list[dict[str, Any]] = []
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
            kept.append({"id": number, "name": name, "supercategory": parent})
    return sorted(kept, key=lambda category: category["id"])


def _images(entries: list[dict[str, Any]], problems: Problems) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
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
            kept.append({"id": number, "file_name": path, **size})
    return kept


def _are_sizes(values: Iterable[Any]) -> bool:
    return all(is_id(value) and 0 < value <= _LONGEST_SIDE for value in values)
