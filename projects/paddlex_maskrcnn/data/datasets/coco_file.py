"""The content of a COCO json: its parts that can be used, and what is wrong with the others.

Ids and sizes that are written as text or with a decimal point are read as the numbers they are. Categories
named `__ignore__` and `_background_` are left out together with their annotations, and so is the first
category of Roboflow's exports, which names the project: no object has it, all other categories are below it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .files import UnusableFileError, read_text
from .problems import DatasetError, Kind, Problems
from .values import IGNORED_LABEL, NO_CLASSES, WRITTEN_OTHERWISE, integer, is_integer, shown

BAD_IMAGE = Kind(
    "image entry without id, file_name, height and width",
    "each image needs an integer id, a file_name, and height and width in whole pixels",
)
DUPLICATE_IMAGE = Kind("image id given twice", "give each image its own id")
BAD_CATEGORY = Kind("category without id and name", "each category needs an integer id and a name")
DUPLICATE_CATEGORY = Kind(
    "category id or name given twice", "merge the categories, or give each its own id and name"
)

GROUPS_OTHERS = (
    "category without objects that only groups the others (Roboflow's first), which is no class"
)
_KEYS = ("images", "annotations", "categories")
_LONGEST_SIDE = 2**20  # OpenCV's limit
# list of the file -> an entry of it in words, and the fields that are integers
_INTEGERS = {
    "images": ("image", ("id", "height", "width")),
    "annotations": ("annotation", ("id", "image_id", "category_id")),
    "categories": ("category", ("id",)),
}


class CocoFile:
    """The parts of a COCO file that can be used.

    Attributes:
        content: all of it, ids and sizes as numbers where they could be read as such.
        categories: id, name, supercategory, sorted by id.
        images: complete entries, in the order of the file.
        annotations: those of classes, as they are.
        image_ids: all that the file names, those of incomplete entries included.
        category_ids: likewise.
    """

    def __init__(self, path: Path, problems: Problems) -> None:
        """Parse, and add what is wrong with images and categories to `problems`.

        Raises:
            DatasetError: if the file is not COCO json.
        """
        self.content = content = _parse(path)
        for key, (word, fields) in _INTEGERS.items():
            _read_integers(content[key], fields, word, problems)
        self.category_ids = {c["id"] for c in content["categories"] if is_integer(c.get("id"))}
        self.image_ids = {i["id"] for i in content["images"] if is_integer(i.get("id"))}
        no_classes = {
            entry["id"]
            for entry in content["categories"]
            if is_integer(entry.get("id")) and _is_no_class(entry)
        }
        classes = [entry for entry in content["categories"] if not _is_no_class(entry)]
        if (group := _grouping(classes, content["annotations"])) is not None:
            classes.remove(group)
            problems.repair(GROUPS_OTHERS, f"category {group['id']} ({group['name']!r})")
        self.categories = _categories(classes, problems)
        self.images = _images(content["images"], problems)
        self.annotations: list[dict[str, Any]] = content["annotations"]
        if not classes:
            raise DatasetError(f"{path}: 'categories' names no class")
        if any(map(_is_no_class, content["categories"])):
            self._leave_out(no_classes, problems)

    def _leave_out(self, no_classes: set[int], problems: Problems) -> None:
        """Take the annotations of these categories out."""
        annotations = []
        for annotation in self.annotations:
            number = annotation.get("category_id")
            if is_integer(number) and number in no_classes:
                problems.repair(IGNORED_LABEL, f"annotation {annotation.get('id')!r:.40}")
            else:
                annotations.append(annotation)
        self.annotations = annotations
        for category in filter(_is_no_class, self.content["categories"]):
            problems.repair(IGNORED_LABEL, f"category {category.get('id')!r:.40}")


def _is_no_class(category: dict[str, Any]) -> bool:
    name = category.get("name")
    return isinstance(name, str) and name in NO_CLASSES


def _grouping(
    categories: list[dict[str, Any]], annotations: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """The category 0 that only groups the others; None if there is none such."""
    first = next((entry for entry in categories if entry.get("id") == 0), None)
    if first is None or len(categories) < 2 or not isinstance(first.get("name"), str):
        return None
    parents = {str(entry.get("supercategory")) for entry in categories if entry is not first}
    is_root = first.get("supercategory") in (None, "", "none", first["name"])
    if not is_root or parents != {first["name"]}:
        return None
    is_used = any(annotation.get("category_id") == 0 for annotation in annotations)
    return None if is_used else first


def _read_integers(
    entries: list[dict[str, Any]], fields: Sequence[str], word: str, problems: Problems
) -> None:
    """Turn what is written otherwise into integers, and count it."""
    for field in fields:
        # most files have integers all through, which this finds out without a look at each
        if set(map(type, [entry.get(field) for entry in entries])) <= {int}:
            continue
        for position, entry in enumerate(entries, 1):
            value = entry.get(field)
            if type(value) is not int and (number := integer(value)) is not None:
                entry[field] = number
                problems.repair(WRITTEN_OTHERWISE, f"{field} {value!r:.40} of {word} {position}")


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except UnusableFileError as error:
        raise DatasetError(f"ann_file {str(path)!r}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not json: {error}") from error
    if not isinstance(content, dict):
        export = "; an export of Label Studio is read as type: LabelStudioDetection"
        hint = export if isinstance(content, list) else ""
        raise DatasetError(f"{path} is not COCO json: {_what(content)} instead of an object{hint}")
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
        where = f"category {number!r:.40} ({name!r:.80})"
        if not is_integer(number):
            problems.add(BAD_CATEGORY, f"{where}: id is {shown(number)}")
        elif not isinstance(name, str) or not name:
            problems.add(BAD_CATEGORY, f"{where}: name is {shown(name)}")
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
        if fault := _fault_of(entry):
            problems.add(BAD_IMAGE, f"image {number!r:.40} ({name!r:.80}): {fault}")
        elif number in seen:
            problems.add(DUPLICATE_IMAGE, f"image {number} ({name!r})")
        else:
            seen.add(number)
            path = name.replace("\\", "/")  # type: ignore[union-attr]  # it may come from Windows
            size = {key: entry[key] for key in ("height", "width")}
            images.append({"id": number, "file_name": path, **size})
    return images


def _fault_of(image: dict[str, Any]) -> str:
    """The first field that is not as it must be, and what it is; empty without one."""
    name = image.get("file_name")
    if not is_integer(image.get("id")):
        return f"id is {shown(image.get('id'))}"
    if not isinstance(name, str) or not name:
        return f"file_name is {shown(name)}"
    for key in ("height", "width"):
        if not is_integer(image.get(key)) or not 0 < image[key] <= _LONGEST_SIDE:
            return f"{key} is {shown(image.get(key))}"
    return ""
