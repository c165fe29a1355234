"""Pascal VOC: an xml an image, and its objects' masks as one index picture.

Origin: PaddleX `VOCDetection`. Differences: masks are read from `SegmentationObject` (or from
`<polygon>` in the xml), so that it trains Mask R-CNN; images without objects are kept; what PaddleX
skipped (missing xml, unknown suffix) or died of (unknown class) is reported.

VOC numbers objects in the order of the xml. Where boxes say otherwise, objects and mask indices are
matched by the IoU of their boxes, and that is noted. Difficult objects train like others and count
neither for nor against in evaluation.

Tags of the xml are matched in any case, as PaddleX does. Boxes are VOC's: first and last pixel, counted
from 1 (devkit, `VOCreadxml`; so reads Detectron2's `load_voc_instances`). Outlines in the xml itself,
`<polygon><x1>..</x1><y1>..</y1><x2>..`, are what Roboflow and X-AnyLabeling write; those of
`<polygon><pt><x>..</x><y>..</y></pt>..` MIT's LabelMe, CVAT ("LabelMe 3.0") and Datumaro.
"""

from __future__ import annotations

import math
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...config import signatures
from ...config.dataset_params import VOCDetectionParams
from ...config.signature import takes_params
from ..image_headers import Size
from .annotations import BAD_TRUTH, RawAnnotation, bounds_of
from .file_names import FileFinder
from .files import UnusableFileError, read_xml
from .index_masks import IndexMask, match_by_box, read_index_mask
from .listed import ListedDetection, ListedPicture, class_of
from .problems import DatasetError, Kind
from .reading import Parsed
from .values import integer, number, shown, truth

MASK_FOLDER = "SegmentationObject"
BAD_MASK = Kind(
    "image whose masks cannot be read",
    f"{MASK_FOLDER}/NAME.png must number its objects (value k: object k of the xml); list only "
    "images that have one (VOC: ImageSets/Segmentation)",
)
LONELY_INDEX = Kind(
    "mask index without an object in the xml",
    "add the object to the xml, or erase its pixels",
    skippable=True,
)
REORDERED = "objects in another order than their mask indices, matched by their boxes"

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_MARKS = ("difficult", "iscrowd")


class VOCDetection(ListedDetection):
    """Images of a list or folder, each with a VOC xml and an index picture of its objects, or polygons."""

    metric = "VOC"
    suffix = ".xml"
    mask_folder = MASK_FOLDER

    @takes_params(VOCDetectionParams, "VOCDetection", like=signatures.VOCDetection)
    def __init__(self, params: VOCDetectionParams) -> None:
        """Read and check lists, annotation files and image headers.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        self._open(params)

    def _check(self, pictures: list[ListedPicture], finder: FileFinder) -> None:
        """Say it in one sentence when a set has boxes only, instead of once an image."""
        masks = [picture.mask for picture in pictures]
        if any(map(os.path.isfile, masks)):  # of any length of name
            return
        if any(finder.find(os.path.relpath(mask, finder.root)) for mask in masks):
            return  # written otherwise
        for picture in pictures:
            try:
                objects = read_voc_xml(picture.annotation).objects
            except UnusableFileError:
                return  # named when all are read
            if any(annotation.polygons for annotation in objects):
                return
            if objects:
                raise DatasetError(
                    f"VOCDetection: {picture.name} has boxes but no masks ({str(picture.mask)!r} is no "
                    f"file), and Mask R-CNN learns from masks: put index pictures into {MASK_FOLDER}/ "
                    f"(NAME.png, value k for object k of NAME.xml, 255 for void), or name them in a "
                    f"third column of the list, or export polygons from the labelling tool"
                )

    @classmethod
    def _content(cls, path: Path) -> VocXml:
        return read_voc_xml(path)

    @classmethod
    def _names_in(cls, content: VocXml) -> Iterable[str]:
        return (annotation.name for annotation in content.objects)

    @classmethod
    def _picture_named(cls, path: Path) -> str:
        try:
            return _text(read_xml(path), "filename")
        except UnusableFileError:
            return ""

    def _parse(self, picture: ListedPicture, xml: VocXml, classes: Mapping[str, int]) -> Parsed:
        parsed = Parsed(said=xml.size if xml.objects else None)
        masks = None
        if not xml.objects:
            has_mask = os.path.isfile(picture.mask)  # of objects that the xml does not have
        else:
            has_mask = not all(annotation.polygons for annotation in xml.objects)
        if has_mask:
            try:
                masks = read_index_mask(picture.mask)
            except UnusableFileError as error:
                problem = f"{picture.where}: {picture.mask.name}: {error}"
                return Parsed(problems=[(BAD_MASK, problem)])
            parsed.said = masks.size
        objects = _objects(picture, xml, masks, classes, parsed)
        parsed.objects = lambda frame: objects
        return parsed


def _objects(
    picture: ListedPicture,
    xml: VocXml,
    masks: IndexMask | None,
    classes: Mapping[str, int],
    parsed: Parsed,
) -> list[RawAnnotation]:
    indices = _indices(picture, xml, masks, parsed) if masks else {}
    objects = []
    for k, annotation in enumerate(xml.objects):
        where = f"{picture.name} object {k + 1} ({annotation.name!r})"
        category = class_of(annotation.name, classes, where, parsed)
        marks = [_mark(annotation, name, where, parsed) for name in _MARKS]
        if category is None or None in marks:
            continue
        rle = masks.rles[indices[k]] if masks and k in indices else None
        objects.append(
            RawAnnotation(
                where,
                category,
                annotation.polygons or rle,
                annotation.bbox,
                is_crowd=bool(marks[1]),
                is_ignored=bool(marks[0]),
            )
        )
    return objects


def _mark(annotation: VocObject, name: str, where: str, parsed: Parsed) -> bool | None:
    """A truth value; None after noting that it is none."""
    text = annotation.marks[name]
    mark = truth(text)
    if mark is None:
        parsed.problems.append((BAD_TRUTH, f"{where}: {name} is {shown(text)}"))
    return mark


def _indices(
    picture: ListedPicture, xml: VocXml, masks: IndexMask, parsed: Parsed
) -> dict[int, int]:
    """Position of an object in the xml -> its index in the mask."""
    boxes = {index: bounds_of(rle) for index, rle in masks.rles.items()}
    matched = match_by_box(boxes, [annotation.bbox for annotation in xml.objects])
    for index in sorted(boxes.keys() - set(matched.values())):
        parsed.problems.append((LONELY_INDEX, f"{picture.mask.name} index {index}"))
    if any(index != k + 1 for k, index in matched.items()):
        parsed.repaired.append((REORDERED, picture.name))
    return matched


@dataclass(frozen=True)
class VocObject:
    """An object of the xml.

    Attributes:
        name: its class.
        bbox: [x, y, width, height] in pixels, not finite where the xml has no numbers; None where
            it has no box, or one of zeros.
        polygons: flat lists of x, y in pixels, not finite where the xml has no numbers; empty where it
            has none.
        marks: texts of `difficult` (evaluation leaves it out) and of our own `iscrowd`.
    """

    name: str
    bbox: list[float] | None
    polygons: list[list[float]]
    marks: dict[str, str]


@dataclass(frozen=True)
class VocXml:
    """What an xml says: (height, width), None where it is missing or 0, and the objects."""

    size: Size | None
    objects: list[VocObject]


def read_voc_xml(path: Path) -> VocXml:
    """Parse an annotation file.

    Raises:
        UnusableFileError: if it cannot be read, is not xml, an object has no name, or the size is none.
    """
    root = read_xml(path)
    nodes = [node for node in _all(root, "object") if not truth(_text(node, "deleted"))]
    objects = [_object(node, number) for number, node in enumerate(nodes, 1)]
    return VocXml(_size(root), objects)


def _object(node: ET.Element, number: int) -> VocObject:
    name = _text(node, "name")
    if not name:
        raise UnusableFileError(f"object {number} has no name")
    box = _first(node, "bndbox")
    return VocObject(
        name,
        _bbox(box) if box is not None else None,
        [points for polygon in _all(node, "polygon") if (points := _polygon(polygon))],
        {mark: _text(node, mark) for mark in _MARKS},
    )


def _bbox(node: ET.Element) -> list[float] | None:
    left, top, right, bottom = (_number(_text(node, corner)) for corner in _CORNERS)
    if left == top == right == bottom == 0:
        return None  # counted from 1: it says nothing
    return [left - 1, top - 1, right - left + 1, bottom - top + 1]


def _polygon(node: ET.Element) -> list[float]:
    """x1, y1, x2, y2, ...; not finite where a number is missing or none."""
    if points := _all(node, "pt"):
        return [_number(_text(point, axis)) for point in points for axis in "xy"]
    values = {child.tag.lower(): child.text or "" for child in node if isinstance(child.tag, str)}
    numbers = {int(tag[1:]) for tag in values if re.fullmatch(r"[xy][0-9]{1,9}", tag)}
    if not numbers:
        return []
    # up to the first gap at least, so that a huge number in a tag is named and not counted up to
    last = min(max(numbers), len(numbers) + 1)
    names = [f"{axis}{k}" for k in range(min(numbers | {1}), last + 1) for axis in "xy"]
    return [_number(values.get(name, "")) for name in names]


def _size(root: ET.Element) -> Size | None:
    node = _first(root, "size")
    if node is None:
        return None
    sides = []
    for name in ("height", "width"):
        text = _text(node, name)
        side = integer(text or "0")
        if side is None or side < 0:
            raise UnusableFileError(f"{name} is {shown(text)}, a number of pixels is needed")
        sides.append(side)
    height, width = sides
    return (height, width) if height and width else None


def _all(node: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in node if isinstance(child.tag, str) and child.tag.lower() == name]


def _first(node: ET.Element, name: str) -> ET.Element | None:
    return next(iter(_all(node, name)), None)


def _text(node: ET.Element, name: str) -> str:
    child = _first(node, name)
    return (child.text or "").strip() if child is not None else ""


def _number(text: str) -> float:
    value = number(text)
    return math.nan if value is None else value
