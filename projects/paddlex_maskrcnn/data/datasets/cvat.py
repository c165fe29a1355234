"""CVAT's own format "CVAT for images 1.1": one xml for all images.

Facts: docs.cvat.ai, "XML annotation format". Polygons, rectangles (turned ones too), ellipses and masks
are objects; shapes of one label and one `group_id` are one object, as in CVAT's own export to COCO. Points,
lines, cuboids and skeletons have no area. A mask's run lengths count row by row through its box,
background first. Classes are the task's labels in their order, without those that cannot have an area.

Images without a shape train as background: CVAT lists every image of a task. Pictures are looked for
as the xml names them, in `images/` too, where CVAT's zip has them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util

from ...config import signatures
from ...config.dataset_params import CvatDetectionParams
from ...config.signature import takes_params
from ..image_headers import Size
from ..masks import as_text
from .annotations import ImageFrame, RawAnnotation, are_drawable, as_rle
from .base import Content, DetectionDataset, as_categories
from .file_names import FileFinder
from .files import UnusableFileError, leaves_folder, read_labels, read_xml
from .labelme_shapes import NO_AREA, Patch, encoded, in_frame
from .listed import class_of
from .outlines import ellipse, rectangle, turned
from .problems import DatasetError, Kind, Problems
from .reading import OUTSIDE_FILE, Parsed, Picture, Reading
from .values import without_ignored

BAD_SHAPE = Kind(
    "shape whose numbers cannot be read", "draw the object again, or delete it", skippable=True
)
BAD_ENTRY = Kind(
    "image without a name, width and height", "export the task again as 'CVAT for images 1.1'"
)

_LABELS = ".//meta//labels/label"
# types that a label of CVAT can be restricted to and that have no area
_FLAT_TYPES = ("points", "polyline", "tag", "skeleton", "cuboid")
_SHAPES = ("polygon", "box", "ellipse", "mask")
_WITHOUT_AREA = ("polyline", "points", "cuboid", "skeleton")
_MOST_PIXELS = 2**28  # of a mask's box; larger ones are no work of CVAT's


class CvatDetection(DetectionDataset):
    """The images of an xml of CVAT."""

    @takes_params(CvatDetectionParams, "CvatDetection", like=signatures.CvatDetection)
    def __init__(self, params: CvatDetectionParams) -> None:
        """Read and check the xml and image headers.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        self._open(params)

    def _read(self, params: CvatDetectionParams) -> Content:
        self.data_dir, self.ann_file = params.data_dir, params.ann_file
        if not Path(params.data_dir).is_dir():
            raise DatasetError(f"data_dir {params.data_dir!r} is not a folder")
        root = _root(Path(params.ann_file))
        reading = Reading(
            f"{params.ann_file} (data_dir {params.data_dir!r})",
            params.data_dir,
            boxes_expected=False,
            finder=FileFinder(params.data_dir),
            image_list=params.image_list,
        )
        labels = _labels_of(root) if params.label_list is None else read_labels(params.label_list)
        if not labels:
            raise DatasetError(
                f"{params.ann_file} names no label and has no shape: there is nothing to learn"
            )
        pictures = _pictures(root, Path(params.data_dir), reading.problems)
        classes = {name: k for k, name in enumerate(labels)}
        records = reading.records(pictures, lambda picture: _parse(picture, classes), params.exif)
        reading.problems.finish(params.skip_invalid)
        return Content(params.ann_file, as_categories(labels), records, reading.names)


@dataclass(frozen=True)
class CvatPicture(Picture):
    """A picture and its element of the xml.

    Attributes:
        size: (height, width) that the xml says.
    """

    node: ET.Element
    size: Size


def _root(path: Path) -> ET.Element:
    try:
        root = read_xml(path)
    except UnusableFileError as error:
        raise DatasetError(f"ann_file {str(path)!r}: {error}") from error
    if root.tag != "annotations":
        raise DatasetError(f"{path} is not CVAT's xml: it begins with <{root.tag:.40}>")
    if root.find("image") is None:
        tracks = root.find("track") is not None
        wanted = (
            "it is 'CVAT for video', which names no pictures" if tracks else "it lists no image"
        )
        raise DatasetError(f"{path}: {wanted}; export the task as 'CVAT for images 1.1'")
    return root


def _labels_of(root: ET.Element) -> list[str]:
    """Those of the task that can have an area; without a task those of the shapes, by name."""
    labels = [
        label.findtext("name", "")
        for label in root.iterfind(_LABELS)
        # parts of a skeleton name their parent
        if label.findtext("type", "any") not in _FLAT_TYPES and label.find("parent") is None
    ]
    drawn = {shape.get("label", "") for kind in _SHAPES for shape in root.iterfind(f"image/{kind}")}
    return without_ignored([name for name in dict.fromkeys(labels or sorted(drawn)) if name])


def _pictures(root: ET.Element, data_dir: Path, problems: Problems) -> list[CvatPicture]:
    pictures: list[CvatPicture] = []
    for node in root.iterfind("image"):
        name = node.get("name", "").replace("\\", "/")
        number = len(pictures) + 1
        where = f"image {node.get('id', number)} ({name!r})"
        size = _whole(node, "height"), _whole(node, "width")
        if not name or min(size) < 1:
            problems.add(BAD_ENTRY, where)
        elif leaves_folder(name):
            problems.add(OUTSIDE_FILE, where)
        else:
            path = _path(name, node.get("subset", ""), data_dir.absolute())
            pictures.append(CvatPicture(str(path), where, number, node, size, file_name=name))
    return pictures


def _path(name: str, subset: str, data_dir: Path) -> Path:
    """Where the picture is; as the xml names it when it is nowhere."""
    folders = ["", "images", f"images/{subset}", f"images/{subset.lower()}"]
    candidates = [data_dir / folder / name for folder in folders]
    return next((path for path in candidates if path.is_file()), candidates[0])


def _parse(picture: CvatPicture, classes: Mapping[str, int]) -> Parsed:
    """Runs in threads."""
    parsed = Parsed(said=picture.size)
    usable = []
    for shape in _objects(picture):
        if shape.fault is not None:
            parsed.problems.append(shape.fault)
        elif (category := class_of(shape.label, classes, shape.where, parsed)) is not None:
            usable.append((shape, category))
    parsed.objects = lambda frame: [
        RawAnnotation(shape.where, category, shape.segmentation(frame))
        for shape, category in usable
    ]
    return parsed


@dataclass
class _Object:
    """The shapes of one object.

    Attributes:
        label: its class.
        where: names it in messages.
        polygons: of its shapes, pixels.
        masks: of its mask shapes.
        fault: what makes it unusable, and why.
    """

    label: str
    where: str
    polygons: list[list[float]] = field(default_factory=list)
    masks: list[Patch] = field(default_factory=list)
    fault: tuple[Kind, str] | None = None

    def add(self, node: ET.Element) -> None:
        if node.tag in _WITHOUT_AREA:
            self.fault = NO_AREA, f"{self.where}: {node.tag!r}"
            return
        try:
            if node.tag == "mask":
                self.masks.append(_mask(node))
            else:
                self.polygons.append(_polygon(node))
        except ValueError as error:
            self.fault = BAD_SHAPE, f"{self.where}: {error}"

    def segmentation(self, frame: ImageFrame) -> Any:
        """COCO's: polygons where all parts are, an RLE otherwise."""
        if not self.masks or (self.polygons and not are_drawable(self.polygons, frame)):
            return self.polygons  # those that cannot be drawn are for the check to name
        rles = [in_frame(patch, frame) for patch in self.masks]
        drawn = [as_rle([polygon], frame) for polygon in self.polygons]
        return rles[0] if len(rles + drawn) == 1 else as_text(mask_util.merge(rles + drawn))


def _objects(picture: CvatPicture) -> Iterator[_Object]:
    """The shapes of an image, joined by label and group (0: none)."""
    objects: dict[Any, _Object] = {}
    shapes = [node for node in picture.node if node.tag in (*_SHAPES, *_WITHOUT_AREA)]
    for number, node in enumerate(shapes, 1):
        label, group = node.get("label", ""), node.get("group_id", "0")
        key = (label, group) if group not in ("", "0") else number
        where = f"{picture.where} shape {number} ({label!r})"
        objects.setdefault(key, _Object(label, where)).add(node)
    yield from objects.values()


def _polygon(node: ET.Element) -> list[float]:
    """The outline of a polygon, box or ellipse; ValueError for numbers that are none."""
    if node.tag == "polygon":
        pairs = [pair.split(",") for pair in node.get("points", "").split(";")]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError("its points are not pairs")
        return [float(number) for pair in pairs for number in pair]
    degrees = float(node.get("rotation", "0"))
    if node.tag == "ellipse":
        x, y, across, down = _numbers(node, "cx", "cy", "rx", "ry")
        outline = ellipse(x, y, across, down, degrees)
        if outline is None:
            raise ValueError("its radii are not finite")
        return outline
    left, top, right, bottom = _numbers(node, "xtl", "ytl", "xbr", "ybr")
    middle = (left + right) / 2, (top + bottom) / 2
    return turned(rectangle(left, top, right, bottom), *middle, degrees)


def _mask(node: ET.Element) -> Patch:
    """The pixels of a mask shape; ValueError for run lengths that do not fit its box."""
    left, top, width, height = (_whole(node, key) for key in ("left", "top", "width", "height"))
    if min(left, top) < 0 or min(width, height) < 1 or width * height > _MOST_PIXELS:
        raise ValueError(f"its box is {width}x{height} pixels at ({left}, {top})")
    lengths = [int(run) for run in node.get("rle", "").split(",")]
    if min(lengths) < 0 or sum(lengths) > width * height:
        raise ValueError("its run lengths do not fit its box")
    runs = np.array(lengths)
    pixels = np.zeros(width * height, bool)  # what the runs leave out at the end is background
    values = np.arange(len(runs)) % 2 == 1
    filled = np.repeat(values, runs)
    pixels[: len(filled)] = filled
    return Patch(left, top, encoded(pixels.reshape(height, width)))


def _numbers(node: ET.Element, *keys: str) -> list[float]:
    missing = [key for key in keys if node.get(key) is None]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    return [float(node.get(key, "")) for key in keys]


def _whole(node: ET.Element, key: str) -> int:
    """A whole number; -1 where there is none."""
    text = node.get(key, "").strip()
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 12 else -1
