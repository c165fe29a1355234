"""EasyData: a json an image, with boxes and run-length masks.

Origin: PaddleX `EasyDataDet`. The json is `{"labels": [{"name", "x1", "y1", "x2", "y2", "mask"}]}`;
x2 and y2 are the last pixel, `mask` is the string of a compressed COCO RLE of the whole upright
image. Differences: masks stay as they are (PaddleX traced their contours, which filled holes and
lost thin parts); images without objects are kept; an object without mask stops (PaddleX evaluated
it as its box and then could not train).
"""

from typing import Any

from .annotations import ImageFrame, RawObject
from .listed import ListedDetection, ListedFormat, ListedPicture, Parser, class_of
from .reading import BAD_ANNOTATION, Parsed
from .text_files import UnusableFileError, read_json

_CORNERS = ("x1", "y1", "x2", "y2")


def _parser(labels: list[str], pictures: list[ListedPicture]) -> Parser:
    classes = {name: k for k, name in enumerate(labels)}

    def parse(picture: ListedPicture) -> Parsed:
        try:
            entries = _entries(read_json(picture.annotation))
        except UnusableFileError as error:
            return Parsed(problems=[(BAD_ANNOTATION, f"{picture.name}: {error}")])
        parsed = Parsed()
        known = []
        for k, entry in enumerate(entries, 1):
            where = f"{picture.name} object {k} ({entry['name']!r})"
            category = class_of(entry["name"], classes, where, parsed)
            if category is not None:
                known.append((where, category, entry))
        parsed.objects = lambda frame: [_raw_object(*one, frame) for one in known]
        return parsed

    return parse


def _entries(content: Any) -> list[dict[str, Any]]:
    entries = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UnusableFileError("not EasyData's json: no list of objects in 'labels'")
    for k, entry in enumerate(entries, 1):
        if not isinstance(entry.get("name"), str):
            raise UnusableFileError(f"object {k} has no name")
    return entries


def _raw_object(where: str, category: int, entry: dict[str, Any], frame: ImageFrame) -> RawObject:
    mask = entry.get("mask")
    rle = {"size": [frame.height, frame.width], "counts": mask} if mask else None
    return RawObject(where, category, rle, _bbox([entry.get(corner) for corner in _CORNERS]))


def _bbox(corners: list[Any]) -> Any:
    """[x, y, width, height]; what are no numbers is left for the check to name."""
    if corners == [None] * 4:
        return None
    try:
        left, top, right, bottom = map(float, corners)
    except (TypeError, ValueError, OverflowError):
        return corners
    return [left, top, right - left + 1, bottom - top + 1]


class EasyDataDet(ListedDetection):
    """Images of a list, each with a json of EasyData."""

    format = ListedFormat(".json", "", _parser)
