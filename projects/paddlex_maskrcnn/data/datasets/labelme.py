"""Folders of LabelMe json files.

Each json is an image. Its picture is the file that `imagePath` names, one of that name beside the
json, or the pixels in the json itself (`imageData`). A picture without a json is not used: nobody
has said that it is empty.

Shapes of one label and one `group_id` are one object, as in LabelMe's own converters
(labelme/utils/shape.py, examples/instance_segmentation/labelme2coco.py): polygons where all parts are,
run-length masks otherwise. LabelMe has no holes; here a part that lies inside another part of its group
is a hole in it (and one inside the hole is solid again): elsewhere such a part would change nothing, so
nobody draws it for another reason. A `mask` shape has its pixels as a base64 PNG between two corners.

Differences to PaddleX's converter: classes are in the order of their names, not of the folder's
files; `group_id` joins parts; areas are those of the masks; circles, masks and rectangles drawn from
any corner work; images that have their pixels in the json need no file.
"""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
from PIL import Image

from ...config import signatures
from ...config.dataset_params import LabelMeDetectionParams
from ...config.signature import takes_params
from ..image_headers import Size
from ..images import IMAGE_SUFFIXES
from ..masks import as_text, rle_of_pixels
from .annotations import ImageFrame, RawAnnotation, are_drawable, as_rle
from .base import Content, DetectionDataset, as_categories
from .files import (
    UnusableFileError,
    files_below,
    in_threads,
    is_picture,
    leaves_folder,
    read_json,
    read_labels,
)
from .listed import class_of
from .problems import DatasetError, Kind, Problems
from .reading import BAD_ANNOTATION, OUTSIDE_FILE, Parsed, Picture, Reading

NO_AREA = Kind(
    "shape without an area",
    "Mask R-CNN learns from areas: draw polygons, rectangles, circles or masks",
    skippable=True,
)
BAD_MASK_SHAPE = Kind(
    "mask shape without a PNG and its corners",
    "draw the object again, or delete it",
    skippable=True,
)
MATCHED_BY_NAME = "picture that imagePath does not lead to, found by the name of its json"

_OUTLINES = ("polygon", "rectangle", "circle", "oriented_rectangle")
_SAGITTA = 0.1  # pixels that a circle's outline may lie inside it
_CIRCLE_POINTS = (16, 720)
_FARTHEST = 2**20
_INSIDE = 0.99  # part of a part's pixels that must be in another for it to be a hole


class LabelMeDetection(DetectionDataset):
    """The images of a folder's LabelMe json files."""

    @takes_params(LabelMeDetectionParams, "LabelMeDetection", like=signatures.LabelMeDetection)
    def __init__(self, params: LabelMeDetectionParams) -> None:
        """Read and check json files and image headers.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        self._open(params)

    def _read(self, params: LabelMeDetectionParams) -> Content:
        self.data_dir = params.data_dir
        labels = None if params.label_list is None else read_labels(params.label_list)
        reading = Reading(f"LabelMe files of {params.data_dir!r}", boxes_expected=False)
        files = _read_files(Path(params.data_dir), reading.problems)
        if labels is None:
            labels = _labels_of(files, reading.problems)
        pictures = _pictures(files, params, reading.problems)
        classes = {name: k for k, name in enumerate(labels)}
        records = reading.records(
            pictures, lambda picture: _parse(picture.file, classes), params.exif
        )
        reading.problems.finish(params.skip_invalid)
        return Content(params.data_dir, as_categories(labels), records)


@dataclass(frozen=True)
class LabelMeFile:
    """A json that was read.

    Attributes:
        name: relative to data_dir.
        image_path: as it says, with forward slashes.
        has_pixels: whether the picture is in it.
        size: (height, width) it was drawn on, None where it does not say.
        instances: the objects.
    """

    name: str
    image_path: str
    has_pixels: bool
    size: Size | None
    instances: list[Instance]


@dataclass(frozen=True)
class LabelMePicture(Picture):
    """A picture and what its json says."""

    file: LabelMeFile


def _read_files(data_dir: Path, problems: Problems) -> list[LabelMeFile]:
    if not data_dir.is_dir():
        raise DatasetError(f"data_dir {str(data_dir)!r} is not a folder")
    paths = [path for path in files_below(data_dir) if path.suffix.lower() == ".json"]
    if not paths:
        raise DatasetError(f"data_dir {str(data_dir)!r} has no json files")
    names = [path.relative_to(data_dir).as_posix() for path in paths]
    files = []
    read = in_threads(lambda pair: _read_file(*pair), list(zip(paths, names, strict=True)))
    for name, file in zip(names, read, strict=True):
        if isinstance(file, str):
            problems.add(BAD_ANNOTATION, f"{name}: {file}")
        else:
            files.append(file)
    return files


def _read_file(path: Path, name: str) -> LabelMeFile | str:
    """The file, or why it cannot be used."""
    try:
        content = read_json(path)
    except UnusableFileError as error:
        return str(error)
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        return "not LabelMe's json: no list of shapes"
    for number, shape in enumerate(shapes, 1):
        if not isinstance(shape.get("label"), str) or not shape["label"]:
            return f"shape {number} has no label"
    image_path = content.get("imagePath")
    sides = content.get("imageHeight"), content.get("imageWidth")
    return LabelMeFile(
        name,
        image_path.replace("\\", "/") if isinstance(image_path, str) else "",
        isinstance(content.get("imageData"), str),
        sides if all(isinstance(side, int) and side > 0 for side in sides) else None,
        instances_of(shapes, name),
    )


def _labels_of(files: list[LabelMeFile], problems: Problems) -> list[str]:
    instances = [instance for file in files for instance in file.instances]
    labels = sorted({instance.label for instance in instances if instance.fault is None})
    if not labels:
        problems.finish(skip_invalid=False)  # when there are reasons why, these are told
        raise DatasetError(
            f"{problems.source}: there is no object to learn; give label_list if this is meant"
        )
    return labels


def _pictures(
    files: list[LabelMeFile], params: LabelMeDetectionParams, problems: Problems
) -> list[LabelMePicture]:
    data_dir = Path(params.data_dir).absolute()
    image_dir = Path(params.image_dir or params.data_dir).absolute()
    elsewhere = params.image_dir is not None
    pictures: list[LabelMePicture] = []
    for file in files:
        folder = image_dir if elsewhere else (data_dir / file.name).parent
        path = _picture_path(file, folder, image_dir, problems)
        if path is None and not file.has_pixels:
            problems.add(OUTSIDE_FILE, f"{file.name}: imagePath {file.image_path!r}")
            continue
        number = len(pictures) + 1
        where = f"image {number} ({file.image_path!r} of {file.name})"
        pictures.append(LabelMePicture(str(path or data_dir / file.name), where, number, file))
    return pictures


def _picture_path(file: LabelMeFile, folder: Path, root: Path, problems: Problems) -> Path | None:
    """Where the picture is; None if it is in the json, or only a way out of `root` leads to it."""
    name = "" if "\0" in file.image_path else file.image_path
    named = Path(os.path.normpath(folder / name))
    inside = not leaves_folder(os.path.relpath(named, root))
    for path in [named] * inside + [folder / os.path.basename(name)]:
        if is_picture(path.name) and path.is_file():
            return path
    if file.has_pixels:
        return None
    for suffix in IMAGE_SUFFIXES:
        path = folder / (Path(file.name).stem + suffix)
        if path.is_file():
            problems.repair(MATCHED_BY_NAME, f"{file.name}: imagePath {file.image_path!r}")
            return path
    return named if inside else None


def _parse(file: LabelMeFile, classes: Mapping[str, int]) -> Parsed:
    parsed = Parsed(said=file.size)
    usable: list[tuple[Instance, int]] = []
    for instance in file.instances:
        if instance.fault is not None:
            parsed.problems.append(instance.fault)
            continue
        category = class_of(instance.label, classes, instance.where, parsed)
        if category is not None:
            usable.append((instance, category))
    parsed.objects = lambda frame: [_raw(*pair, frame) for pair in usable]
    return parsed


def _raw(instance: Instance, category: int, frame: ImageFrame) -> RawAnnotation:
    flags: dict[str, Any] = {
        "is_crowd": "iscrowd" in instance.flags,
        "is_ignored": "difficult" in instance.flags,
    }
    return RawAnnotation(instance.where, category, instance.segmentation(frame), **flags)


@dataclass
class Instance:
    """The shapes of one object.

    Attributes:
        label: its class.
        where: names it in messages.
        polygons: the outlines of its parts, flat lists; None for one whose points are not numbers.
        masks: (rows, columns) of the pixels of its mask shapes.
        flags: names of the flags that are set on any of its shapes.
        fault: what makes it unusable, and why; None if nothing does.
    """

    label: str
    where: str
    polygons: list[Any] = field(default_factory=list)
    masks: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    fault: tuple[Kind, str] | None = None

    def add(self, shape: dict[str, Any]) -> None:
        """Take one more shape as the json has it."""
        flags = shape.get("flags")
        if isinstance(flags, dict):
            self.flags |= {name for name, value in flags.items() if value is True}
        kind = shape.get("shape_type") or "polygon"
        if kind in _OUTLINES:
            self.polygons.append(_outline(kind, shape.get("points")))
        elif kind != "mask":
            self.fault = NO_AREA, f"{self.where}: {kind!r}"
        elif (pixels := _mask_pixels(shape)) is None:
            self.fault = BAD_MASK_SHAPE, self.where
        else:
            self.masks.append(pixels)

    def segmentation(self, frame: ImageFrame) -> Any:
        """COCO's; polygons that cannot be drawn are left for the check to name."""
        if self.polygons and not are_drawable(self.polygons, frame):
            return self.polygons
        drawn = [as_rle([polygon], frame) for polygon in self.polygons]
        depths = _depths(drawn)
        if not self.masks and not any(depths):
            return self.polygons
        masks = [_in_frame(pixels, frame) for pixels in self.masks]
        if not drawn and len(masks) == 1:
            return masks[0]
        return _composed(drawn + masks, depths + [0] * len(masks), frame)


def instances_of(shapes: list[dict[str, Any]], name: str) -> list[Instance]:
    """Shapes joined by label and group; each must have a label.

    Args:
        name: of the json, for messages.
    """
    groups: dict[tuple[str, Any], Instance] = {}
    for number, shape in enumerate(shapes, 1):
        label, group = shape["label"], shape.get("group_id")
        grouped = isinstance(group, int | str)
        key = (label, (type(group), group) if grouped else (None, number))
        where = f"{name} shape {number} ({label!r}" + (f", group {group})" if grouped else ")")
        groups.setdefault(key, Instance(label, where)).add(shape)
    return list(groups.values())


def has_holes(polygons: list[list[float]], frame: ImageFrame) -> bool:
    """Whether polygons of one group would be read as having holes."""
    return len(polygons) > 1 and any(_depths([as_rle([polygon], frame) for polygon in polygons]))


def _outline(kind: str, points: Any) -> list[float] | None:
    """A flat polygon, None for points that are not pairs of numbers, or not as many as needed."""
    corners = _points(points)
    if corners is None:
        return None
    if kind == "circle":
        return _circle(corners) if len(corners) == 2 else None
    if kind == "rectangle" and len(corners) == 2:
        (left, top), (right, bottom) = corners.tolist()
        return [left, top, right, top, right, bottom, left, bottom]
    return corners.reshape(-1).tolist()


def _points(points: Any) -> np.ndarray | None:
    """(N, 2) float64, None if it is not a list of pairs of numbers."""
    try:
        array = np.asarray(points)
    except ValueError:  # lists of different lengths inside
        return None
    is_pairs = array.ndim == 2 and array.shape[1] == 2 and array.dtype.kind in "iuf"
    return array.astype(np.float64) if is_pairs else None


def _circle(points: np.ndarray) -> list[float] | None:
    """A polygon of the circle with this centre, through this point."""
    (x, y), (dx, dy) = points[0], points[1] - points[0]
    radius = math.hypot(dx, dy)
    if not math.isfinite(radius):
        return None
    sides = math.pi / math.acos(1 - min(_SAGITTA / radius, 1.0)) if radius else 0
    fewest, most = _CIRCLE_POINTS
    angle = 2 * np.pi * np.arange(count := min(max(math.ceil(sides), fewest), most)) / count
    outline = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
    return outline.reshape(-1).tolist()


def _mask_pixels(shape: dict[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows and columns of a mask shape's pixels; None if it has no PNG or no corner."""
    corners = _points(shape.get("points"))
    if corners is None or not len(corners) or not np.abs(corners).max() < _FARTHEST:
        return None
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape.get("mask") or ""))) as picture:
            rows, columns = np.nonzero(np.asarray(picture.convert("L")))
    except Exception:  # Pillow's parsers raise whatever a damaged file makes them stumble over
        return None
    left, top = np.round(corners[0]).astype(np.int64)
    return rows + top, columns + left


def _in_frame(pixels: tuple[np.ndarray, np.ndarray], frame: ImageFrame) -> dict[str, Any]:
    """RLE of pixels; those outside the image are cut."""
    rows, columns = pixels
    inside = (rows >= 0) & (rows < frame.height) & (columns >= 0) & (columns < frame.width)
    pixel = (columns * frame.height + rows)[inside]  # COCO counts down the columns
    return rle_of_pixels(pixel, frame.height, frame.width)


def _depths(drawn: list[dict[str, Any]]) -> list[int]:
    """In how many other parts each part lies."""
    areas = [float(mask_util.area(part)) for part in drawn]
    depths = []
    for k, part in enumerate(drawn):
        larger = [other for n, other in enumerate(drawn) if areas[n] > areas[k] > 0]
        shared = [float(mask_util.area(mask_util.merge([part, other], True))) for other in larger]
        depths.append(sum(area >= _INSIDE * areas[k] for area in shared))
    return depths


def _composed(parts: list[dict[str, Any]], depths: list[int], frame: ImageFrame) -> dict[str, Any]:
    """From the outermost parts inwards: even depths add pixels, odd ones take them away."""
    whole = np.zeros((frame.height, frame.width), np.uint8, order="F")
    for depth, part in sorted(zip(depths, parts, strict=True), key=lambda pair: pair[0]):
        whole[mask_util.decode(part).astype(bool)] = depth % 2 == 0
    return as_text(mask_util.encode(whole))
