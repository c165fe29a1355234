"""Label Studio's JSON exports (JSON and JSON-MIN).

Facts: labelstud.io, "Export annotations" and the tags' "Result parameters". A task is a picture. Polygons,
rectangles, ellipses, brush strokes and bitmasks are objects, each region by itself; key points and vectors
have no area. Coordinates are percent of the picture as the browser shows it, which is upright; a brush is
run lengths of RGBA pixels (`thi.ng/rle-pack`), of which alpha is the mask. A region's label is in its own
value, or in a second result of the same id where labels and shapes are separate tags.

A task that nobody has annotated is left out and counted; one that was submitted empty trains as background.
Of several annotations of a task the newest counts. Uploaded files carry a prefix (`0a1b2c3d-photo.jpg`),
local ones are behind `?d=`: pictures are looked for in data_dir by their path, by the ends of it, and by
name with and without that prefix.
"""

from __future__ import annotations

import base64
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from PIL import Image

from ...config import signatures
from ...config.dataset_params import LabelStudioDetectionParams
from ...config.signature import takes_params
from ..masks import rle_of_pixels
from .annotations import ImageFrame, RawAnnotation
from .base import Content, DetectionDataset, as_categories
from .files import UnusableFileError, files_below, is_picture, read_json, read_labels
from .labelme_shapes import NO_AREA
from .listed import class_of
from .outlines import ellipse, rectangle, turned
from .problems import DatasetError, Kind, Problems
from .reading import Parsed, Picture, Reading
from .values import without_ignored

BAD_REGION = Kind(
    "region that cannot be read", "draw the object again, or delete it", skippable=True
)
NO_LABEL = Kind(
    "region without a label of its own", "give the region exactly one label", skippable=True
)
NO_PICTURE = Kind(
    "task without a picture",
    "the task's data must name an image; take other tasks out of the export",
)
SEVERAL_PICTURES = Kind(
    "picture whose name occurs several times in data_dir",
    "name a data_dir that holds it once, or keep the folders of the task's path",
)
UNANNOTATED = "task that nobody has annotated, left out"
NEWEST_USED = "task with several annotations, the newest is used"

_GEOMETRIES = ("polygon", "rectangle", "ellipse", "brush", "bitmask")
_WITHOUT_AREA = ("keypoint", "vector")
_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # of uploaded files
_RADIUS_MARK = "radiusX"


class LabelStudioDetection(DetectionDataset):
    """The pictures of a JSON export of Label Studio."""

    @takes_params(
        LabelStudioDetectionParams, "LabelStudioDetection", like=signatures.LabelStudioDetection
    )
    def __init__(self, params: LabelStudioDetectionParams) -> None:
        """Read and check the json and image headers.

        Raises:
            DatasetError: with everything that is wrong with the data.
            ValueError: if another argument is not what is allowed.
        """
        self._open(params)

    def _read(self, params: LabelStudioDetectionParams) -> Content:
        self.data_dir, self.ann_file = params.data_dir, params.ann_file
        if not Path(params.data_dir).is_dir():
            raise DatasetError(f"data_dir {params.data_dir!r} is not a folder")
        reading = Reading(f"{params.ann_file} (data_dir {params.data_dir!r})", boxes_expected=False)
        tasks = _tasks(Path(params.ann_file), reading.problems)
        labels = _labels_of(tasks) if params.label_list is None else read_labels(params.label_list)
        if not labels:
            reading.problems.finish(skip_invalid=False)
            raise DatasetError(
                f"{params.ann_file} has no labelled region: there is nothing to learn; give label_list "
                "if this is meant"
            )
        pictures = _pictures(tasks, Path(params.data_dir), reading.problems)
        classes = {name: k for k, name in enumerate(labels)}
        records = reading.records(pictures, lambda picture: _parse(picture, classes))
        reading.problems.finish(params.skip_invalid)
        return Content(params.ann_file, as_categories(labels), records)


@dataclass(frozen=True)
class Region:
    """What was drawn once.

    Attributes:
        number: in the task, from 1.
        kind: polygon, rectangle, ...
        labels: that it was given.
        value: its numbers.
        result: the whole entry, with the sizes.
    """

    number: int
    kind: str
    labels: list[str]
    value: dict[str, Any]
    result: dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A picture of the export.

    Attributes:
        where: names it in messages.
        address: of its picture, as the export has it.
        regions: of the annotation that counts.
    """

    where: str
    address: str
    regions: list[Region]


@dataclass(frozen=True)
class LabelStudioPicture(Picture):
    """A picture and its task."""

    task: Task


def _tasks(path: Path, problems: Problems) -> list[Task]:
    """The tasks that somebody has annotated; DatasetError if it is no export of Label Studio."""
    try:
        content = read_json(path)
    except UnusableFileError as error:
        raise DatasetError(f"ann_file {str(path)!r}: {error}") from error
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise DatasetError(
            f"{path} is not a JSON export of Label Studio: a list of tasks is needed"
        )
    tasks = []
    for number, entry in enumerate(content, 1):
        where = f"task {entry.get('id', number)}"
        address = _address(entry)
        results = _results(entry, where, problems)
        if not address:
            problems.add(NO_PICTURE, where)
        elif results is None:
            problems.repair(UNANNOTATED, where)
        else:
            tasks.append(Task(f"{where} ({address!r:.100})", address, _regions(results)))
    if not tasks:
        problems.finish(skip_invalid=False)
        raise DatasetError(f"{path}: none of its {len(content)} tasks is annotated")
    return tasks


def _address(entry: dict[str, Any]) -> str:
    """What names the task's picture; in JSON-MIN the data are keys of the task."""
    data = entry.get("data")
    values = (data if isinstance(data, dict) else entry).values()
    texts = [value for value in values if isinstance(value, str)]
    pictures = [text for text in texts if is_picture(_path_in(text))]
    uploaded = entry.get("file_upload")
    return next(iter(pictures), uploaded if isinstance(uploaded, str) else "")


def _results(entry: dict[str, Any], where: str, problems: Problems) -> list[dict[str, Any]] | None:
    """The results of the annotation that counts; None when there is none."""
    annotations = entry.get("annotations", entry.get("completions"))
    if annotations is None and "data" not in entry:
        return _flat_results(entry)
    usable = [
        annotation
        for annotation in (annotations if isinstance(annotations, list) else [])
        if isinstance(annotation, dict) and not annotation.get("was_cancelled")
    ]
    if not usable:
        return None
    if len(usable) > 1:
        problems.repair(NEWEST_USED, where)
    newest = max(usable, key=lambda annotation: str(annotation.get("updated_at", "")))
    results = newest.get("result")
    entries = results if isinstance(results, list) else []
    return [result for result in entries if isinstance(result, dict)]


def _flat_results(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """JSON-MIN: a list of values for each tag, the kind of a region in the name of its labels."""
    regions = [
        region
        for values in entry.values()
        if isinstance(values, list)
        for region in values
        if isinstance(region, dict) and "original_width" in region
    ]
    return [{**region, "type": _kind_of(region), "value": region} for region in regions]


def _kind_of(value: dict[str, Any]) -> str:
    named = [key for key in value if key.endswith("labels") and key != "labels"]
    if named:
        return named[0]
    marks = {
        "points": "polygon",
        _RADIUS_MARK: "ellipse",
        "rle": "brush",
        "imageDataURL": "bitmask",
    }
    return next((kind for key, kind in marks.items() if key in value), "rectangle")


def _regions(results: Sequence[dict[str, Any]]) -> list[Region]:
    """Results of one id together: a shape and its label may be two."""
    by_id: dict[object, list[dict[str, Any]]] = defaultdict(list)
    for number, result in enumerate(results):
        name = result.get("id")
        by_id[name if isinstance(name, str) and "id" in result else number].append(result)
    regions: list[Region] = []
    for group in by_id.values():
        shapes = [
            result for result in group if _shape(result) and isinstance(result.get("value"), dict)
        ]
        if shapes:
            labels = [label for result in group for label in _labels_in(result)]
            first = shapes[0]
            number = len(regions) + 1
            regions.append(
                Region(number, _shape(first), list(dict.fromkeys(labels)), first["value"], first)
            )
    return regions


def _shape(result: dict[str, Any]) -> str:
    """polygon of polygonlabels; empty for what draws nothing, such as choices and texts."""
    kind = str(result.get("type", "")).removesuffix("labels")
    return kind if kind in _GEOMETRIES or kind in _WITHOUT_AREA else ""


def _labels_in(result: dict[str, Any]) -> list[str]:
    value = result.get("value")
    kind = str(result.get("type", ""))
    labels = value.get(kind) if isinstance(value, dict) and kind.endswith("labels") else None
    return [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []


def _labels_of(tasks: Sequence[Task]) -> list[str]:
    labels = {
        region.labels[0]
        for task in tasks
        for region in task.regions
        if len(region.labels) == 1 and region.kind in _GEOMETRIES
    }
    return without_ignored(sorted(labels))


def _pictures(
    tasks: Sequence[Task], data_dir: Path, problems: Problems
) -> list[LabelStudioPicture]:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in files_below(data_dir.absolute()):
        if is_picture(path.name):
            by_name[path.name].append(path)
    pictures: list[LabelStudioPicture] = []
    for task in tasks:
        candidates = _candidates(task.address, data_dir.absolute(), by_name)
        if len(candidates) > 1:
            listed = ", ".join(
                str(path.relative_to(data_dir.absolute())) for path in candidates[:3]
            )
            problems.add(SEVERAL_PICTURES, f"{task.where}: {listed}")
            continue
        number = len(pictures) + 1
        path = candidates[0]  # where it should be, when it is nowhere
        pictures.append(LabelStudioPicture(str(path), task.where, number, task))
    return pictures


def _candidates(address: str, data_dir: Path, by_name: Mapping[str, list[Path]]) -> list[Path]:
    """The files that an address can mean: the longest end of its path that is there, else by name."""
    parts = [part for part in _path_in(address).split("/") if part not in ("", ".", "..")]
    parts = parts or ["picture"]
    bare = _PREFIX.sub("", parts[-1])
    for name in dict.fromkeys((parts[-1], bare)):
        for first in range(len(parts)):
            path = data_dir.joinpath(*parts[first:-1], name)
            if path.is_file():
                return [path]
    named = by_name.get(parts[-1]) or by_name.get(bare)
    return list(named) if named else [data_dir / parts[-1]]


def _path_in(address: str) -> str:
    """The path of an address: after `?d=` of local files, without server and query otherwise."""
    try:
        pieces = urlsplit(address.replace("\\", "/"))
    except ValueError:
        return ""
    local = parse_qs(pieces.query).get("d")
    path = local[0] if local else unquote(pieces.path)
    return path.replace("\0", "")


def _parse(picture: LabelStudioPicture, classes: Mapping[str, int]) -> Parsed:
    """Runs in threads."""
    parsed = Parsed()  # percent are of any size; brushes are checked against the picture
    usable: list[tuple[Region, int, str]] = []
    for region in picture.task.regions:
        where = f"{picture.task.where} region {region.number} ({', '.join(region.labels):.60})"
        if region.kind in _WITHOUT_AREA:
            parsed.problems.append((NO_AREA, f"{where}: {region.kind!r}"))
        elif len(region.labels) != 1:
            parsed.problems.append((NO_LABEL, where))
        elif region.result.get("image_rotation"):
            parsed.problems.append((BAD_REGION, f"{where}: its picture was turned by hand"))
        elif (category := class_of(region.labels[0], classes, where, parsed)) is not None:
            usable.append((region, category, where))
    parsed.objects = lambda frame: _annotations(usable, frame)
    return parsed


def _annotations(
    usable: Sequence[tuple[Region, int, str]], frame: ImageFrame
) -> Iterator[RawAnnotation]:
    for region, category, where in usable:
        try:
            segmentation = _segmentation(region, frame)
        except (TypeError, ValueError, KeyError, IndexError, OverflowError):
            # as numbers that are none, for the check to name
            segmentation = [[float("nan")] * 6]
        yield RawAnnotation(where, category, segmentation)


def _segmentation(region: Region, frame: ImageFrame) -> Any:
    """COCO's, in pixels."""
    value = region.value
    if region.kind == "brush":
        sides = region.result.get("original_height"), region.result.get("original_width")
        return _brush_mask(value["rle"], sides, frame)
    if region.kind == "bitmask":
        return _bitmask(value["imageDataURL"])
    return [_outline(region.kind, value, frame)]


def _outline(kind: str, value: dict[str, Any], frame: ImageFrame) -> list[float]:
    across, down = frame.width / 100, frame.height / 100
    if kind == "polygon":
        points = np.asarray(value["points"], np.float64).reshape(-1, 2) * (across, down)
        return points.reshape(-1).tolist()
    x, y, degrees = value["x"] * across, value["y"] * down, float(value.get("rotation") or 0)
    if kind == "ellipse":
        outline = ellipse(x, y, value["radiusX"] * across, value["radiusY"] * down, degrees)
        return outline or [float("nan")] * 6
    right, bottom = x + value["width"] * across, y + value["height"] * down
    return turned(rectangle(x, y, right, bottom), x, y, degrees)  # around its first corner


def _bitmask(address: str) -> dict[str, Any]:
    """RLE of a PNG in a data address: everything that is neither black nor transparent."""
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as picture:
        if picture.width * picture.height > 2**28:
            raise ValueError("too large")
        pixels = np.asarray(picture.convert("RGBA"))
    return _rle(np.flatnonzero(pixels[..., :3].any(-1) & (pixels[..., 3] > 0)), *pixels.shape[:2])


def _brush_mask(data: Any, sides: tuple[Any, Any], frame: ImageFrame) -> dict[str, Any]:
    """RLE of a brush; one that does not fit the picture has another size, or no counts."""
    height, width = sides
    if (height, width) != (frame.height, frame.width):
        return {"size": [height, width], "counts": ""}
    alpha = _alpha(bytes(data), 4 * height * width)
    return {"size": [height, width], "counts": ""} if alpha is None else _rle(alpha, height, width)


def _rle(pixels: np.ndarray, height: int, width: int) -> dict[str, Any]:
    """Of (N,) pixel numbers that count along the rows."""
    return rle_of_pixels(pixels % width * height + pixels // width, height, width)


def _alpha(data: bytes, count: int) -> np.ndarray | None:
    """Numbers (N,) of the pixels whose alpha is not 0; None for a stream that is not one.

    The stream (thi.ng/rle-pack): 32 bits, the number of values; 5 bits, their width less one; four times 4
    bits, widths of run lengths less one; then for each run a bit (1: one value repeated), 2 bits that choose
    the width of its length, the length less one, and the value or values.

    Args:
        count: of values that there must be, four a pixel.
    """
    bits = "".join(f"{byte:08b}" for byte in data)
    if len(bits) < 53 or int(bits[:32], 2) != count:
        return None
    width = int(bits[32:37], 2) + 1
    lengths = [int(bits[37 + 4 * k : 41 + 4 * k], 2) + 1 for k in range(4)]
    at, value, marked = 53, 0, []
    while value < count:
        start = at + 3
        size = lengths[int(bits[at + 1 : start] or "0", 2)]
        run = int(bits[start : start + size] or "0", 2) + 1
        repeated, at = bits[at : at + 1] == "1", start + size
        end = at + (width if repeated else run * width)
        if end > len(bits) or value + run > count:
            return None
        if repeated:
            if int(bits[at:end], 2):  # alpha is every fourth value, from 3 on
                marked.append(np.arange(value // 4, (value + run) // 4))
        else:
            values = [int(bits[at + k * width : at + (k + 1) * width], 2) for k in range(run)]
            alphas = [value + k for k, each in enumerate(values) if each and (value + k) % 4 == 3]
            marked.append(np.array(alphas, np.int64) // 4)
        value, at = value + run, end
    return np.concatenate([np.zeros(0, np.int64), *marked])
