"""EasyData: a json an image, with boxes and run-length masks.

Origin: PaddleX `EasyDataDet`. The json is `{"labels": [{"name", "x1", "y1", "x2", "y2", "mask"}]}`;
x2 and y2 are the last pixel, `mask` is the string of a compressed COCO RLE of the whole upright
image. Differences: masks stay as they are (PaddleX traced their contours, which filled holes and
lost thin parts); images without objects are kept; an object without mask stops (PaddleX evaluated
it as its box and then could not train).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...config import signatures
from ...config.dataset_params import EasyDataDetParams
from ...config.signature import takes_params
from .annotations import ImageFrame, RawAnnotation
from .files import UnusableFileError, read_json
from .listed import ListedDetection, ListedPicture, class_of
from .reading import Parsed
from .values import WRITTEN_OTHERWISE, number, shown

_CORNERS = ("x1", "y1", "x2", "y2")


class EasyDataDet(ListedDetection):
    """Images of a list or folder, each with a json of EasyData."""

    suffix = ".json"

    @takes_params(EasyDataDetParams, "EasyDataDet", like=signatures.EasyDataDet)
    def __init__(self, params: EasyDataDetParams) -> None:
        """Read and check lists, annotation files and image headers.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        self._open(params)

    @classmethod
    def _content(cls, path: Path) -> list[dict[str, Any]]:
        return _entries(read_json(path))

    @classmethod
    def _names_in(cls, content: list[dict[str, Any]]) -> Iterable[str]:
        return (entry["name"] for entry in content)

    def _parse(
        self, picture: ListedPicture, entries: list[dict[str, Any]], classes: Mapping[str, int]
    ) -> Parsed:
        parsed = Parsed()
        usable = []
        for k, entry in enumerate(entries, 1):
            where = f"{picture.name} object {k} ({entry['name']!r})"
            category = class_of(entry["name"], classes, where, parsed)
            if category is not None:
                bbox = _bbox([entry.get(corner) for corner in _CORNERS], where, parsed)
                usable.append((where, category, entry.get("mask"), bbox))
        parsed.objects = lambda frame: [_raw(*arguments, frame) for arguments in usable]
        return parsed


def _entries(content: Any) -> list[dict[str, Any]]:
    entries = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UnusableFileError("not EasyData's json: no list of objects in 'labels'")
    for k, entry in enumerate(entries, 1):
        if not isinstance(entry.get("name"), str):
            raise UnusableFileError(f"object {k} has no name: it is {shown(entry.get('name'))}")
    return entries


def _raw(where: str, category: int, mask: Any, bbox: Any, frame: ImageFrame) -> RawAnnotation:
    rle = {"size": [frame.height, frame.width], "counts": mask} if mask else None
    return RawAnnotation(where, category, rle, bbox)


def _bbox(corners: list[Any], where: str, parsed: Parsed) -> Any:
    """[x, y, width, height]; None without one; what are no numbers is left for the check to name."""
    if corners == [None] * 4:
        return None
    numbers = [number(corner) for corner in corners]
    if None in numbers:
        return corners
    if any(isinstance(corner, str) for corner in corners):
        parsed.repaired.append((WRITTEN_OTHERWISE, f"{where}: {', '.join(_CORNERS)}"))
    left, top, right, bottom = (value for value in numbers if value is not None)
    if left == top == right == bottom == 0:
        return []  # says nothing; taken from the mask
    return [left, top, right - left + 1, bottom - top + 1]
