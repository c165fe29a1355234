"""The xml of a Pascal VOC image: its size, and name, box and marks of each object.

Tags are matched in any case, as PaddleX does. Boxes are VOC's: first and last pixel, counted from 1
(devkit, `VOCreadxml`; so reads Detectron2's `load_voc_instances`). Outlines in the xml itself,
`<polygon><x1>..</x1><y1>..</y1><x2>..`, are what Roboflow and X-AnyLabeling write.
"""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from ..image_headers import Size
from .text_files import UnusableFileError, read_bytes

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocObject:
    """An object of the xml.

    Attributes:
        name: its class.
        bbox: [x, y, width, height] in pixels, not finite where the xml has no numbers; None where
            it has no box.
        polygons: flat lists of x, y in pixels; empty where the xml has none.
        is_difficult: VOC's mark of objects that evaluation leaves out.
        is_crowd: our own mark, `<iscrowd>1</iscrowd>`.
    """

    name: str
    bbox: list[float] | None
    polygons: list[list[float]]
    is_difficult: bool = False
    is_crowd: bool = False


@dataclass(frozen=True)
class VocXml:
    """What an xml says: (height, width), None where it is missing or 0, and the objects."""

    size: Size | None
    objects: list[VocObject]


def read_voc_xml(path: Path) -> VocXml:
    """Parse an annotation file.

    Raises:
        UnusableFileError: if it cannot be read, is not xml, or an object has no name.
    """
    data = read_bytes(path)  # not text: the file may declare an encoding of its own
    try:
        root = ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise UnusableFileError(f"not xml: {error}") from error
    found = [_object(node, number) for number, node in enumerate(_all(root, "object"), 1)]
    return VocXml(_size(root), found)


def _object(node: ET.Element, number: int) -> VocObject:
    name = _text(node, "name")
    if not name:
        raise UnusableFileError(f"object {number} has no name")
    box = _first(node, "bndbox")
    return VocObject(
        name,
        _bbox(box) if box is not None else None,
        [_polygon(polygon) for polygon in _all(node, "polygon")],
        is_difficult=_is_set(node, "difficult"),
        is_crowd=_is_set(node, "iscrowd"),
    )


def _bbox(node: ET.Element) -> list[float]:
    left, top, right, bottom = (_number(_text(node, corner)) for corner in _CORNERS)
    return [left - 1, top - 1, right - left + 1, bottom - top + 1]


def _polygon(node: ET.Element) -> list[float]:
    """x1, y1, x2, y2, ... up to the first number that is missing."""
    values = {child.tag.lower(): child.text or "" for child in node}
    points: list[float] = []
    while (name := str(len(points) // 2 + 1)) and f"x{name}" in values and f"y{name}" in values:
        points += [_number(values[f"x{name}"]), _number(values[f"y{name}"])]
    return points


def _size(root: ET.Element) -> Size | None:
    node = _first(root, "size")
    if node is None:
        return None
    height, width = (_number(_text(node, name)) for name in ("height", "width"))
    known = all(math.isfinite(side) and side >= 1 for side in (height, width))
    return (int(height), int(width)) if known else None


def _is_set(node: ET.Element, name: str) -> bool:
    return bool(re.fullmatch(r"0*[1-9]\d*|true", _text(node, name).lower()))


def _all(node: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in node if isinstance(child.tag, str) and child.tag.lower() == name]


def _first(node: ET.Element, name: str) -> ET.Element | None:
    return next(iter(_all(node, name)), None)


def _text(node: ET.Element, name: str) -> str:
    child = _first(node, name)
    return (child.text or "").strip() if child is not None else ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
