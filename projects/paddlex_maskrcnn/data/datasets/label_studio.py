"""Label Studio's JSON exports (JSON and JSON-MIN).

Facts: labelstud.io, "Export annotations" and the tags' "Result parameters". A task is a picture. Polygons,
rectangles, ellipses, brush strokes and bitmasks are objects, each region by itself; key points and vectors
have no area. Coordinates are percent of the picture as the browser shows it, which is upright; a brush is
run lengths of RGBA pixels (`thi.ng/rle-pack`), of which alpha is the mask. A region's label is in its own
value, or in a second result of the same id where labels and shapes are separate tags (`label_studio_tasks`).

A task that nobody has annotated is left out and counted; one that was submitted empty trains as background.
Of several annotations of a task the newest counts. Uploaded files carry a prefix (`0a1b2c3d-photo.jpg`),
local ones are behind `?d=`: pictures are looked for in data_dir by their path, by the ends of it, and by
name with and without that prefix.
"""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...config import signatures
from ...config.dataset_params import LabelStudioDetectionParams
from ...config.signature import takes_params
from ..image_headers import Size
from ..masks import rle_of_pixels
from .annotations import ImageFrame, RawAnnotation
from .base import Content, DetectionDataset, as_categories
from .file_names import UPLOAD_PREFIX
from .files import files_below, is_picture, read_labels
from .label_studio_tasks import GEOMETRIES, WITHOUT_AREA, Region, Task, path_in, read_tasks
from .labelme_shapes import NO_AREA
from .listed import class_of
from .outlines import ellipse, rectangle, turned
from .problems import DatasetError, Kind, Problems
from .reading import Parsed, Picture, Reading
from .values import integer, without_ignored

BAD_REGION = Kind(
    "region that cannot be read", "draw the object again, or delete it", skippable=True
)
NO_LABEL = Kind(
    "region without a label of its own", "give the region exactly one label", skippable=True
)
SEVERAL_PICTURES = Kind(
    "picture whose name occurs several times in data_dir",
    "name a data_dir that holds it once, or keep the folders of the task's path",
)


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
        reading = Reading(
            f"{params.ann_file} (data_dir {params.data_dir!r})",
            params.data_dir,
            boxes_expected=False,
            image_list=params.image_list,
        )
        tasks = read_tasks(Path(params.ann_file), reading.problems)
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
        return Content(params.ann_file, as_categories(labels), records, reading.names)


@dataclass(frozen=True)
class LabelStudioPicture(Picture):
    """A picture and its task."""

    task: Task


def _labels_of(tasks: Sequence[Task]) -> list[str]:
    labels = {
        region.labels[0]
        for task in tasks
        for region in task.regions
        if len(region.labels) == 1 and region.kind in GEOMETRIES
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
        pictures.append(
            LabelStudioPicture(str(path), task.where, number, task, file_name=task.address)
        )
    return pictures


def _candidates(address: str, data_dir: Path, by_name: Mapping[str, list[Path]]) -> list[Path]:
    """The files that an address can mean: the longest end of its path that is there, else by name."""
    parts = [part for part in path_in(address).split("/") if part not in ("", ".", "..")]
    parts = parts or ["picture"]
    prefix = UPLOAD_PREFIX.match(parts[-1])
    bare = parts[-1][prefix.end() :] if prefix else parts[-1]
    for name in dict.fromkeys((parts[-1], bare)):
        for first in range(len(parts)):
            path = data_dir.joinpath(*parts[first:-1], name)
            if path.is_file():
                return [path]
    named = by_name.get(parts[-1]) or by_name.get(bare)
    return list(named) if named else [data_dir / parts[-1]]


def _parse(picture: LabelStudioPicture, classes: Mapping[str, int]) -> Parsed:
    """Runs in threads."""
    # percent are of any size; brushes are checked against the picture
    parsed = Parsed(shape=_shape_drawn_on(picture.task.regions))
    usable: list[tuple[Region, int, str]] = []
    for region in picture.task.regions:
        where = f"{picture.task.where} region {region.number} ({', '.join(region.labels):.60})"
        if region.kind in WITHOUT_AREA:
            parsed.problems.append((NO_AREA, f"{where}: {region.kind!r}"))
        elif len(region.labels) != 1:
            parsed.problems.append((NO_LABEL, where))
        elif region.result.get("image_rotation"):
            parsed.problems.append((BAD_REGION, f"{where}: its picture was turned by hand"))
        elif (category := class_of(region.labels[0], classes, where, parsed)) is not None:
            usable.append((region, category, where))
    parsed.objects = lambda frame: _annotations(usable, frame)
    return parsed


def _shape_drawn_on(regions: Sequence[Region]) -> Size | None:
    """(height, width) of the picture as the first region has it; None where it does not say."""
    for region in regions:
        height = integer(region.result.get("original_height"))
        width = integer(region.result.get("original_width"))
        if height and width and min(height, width) > 0:
            return height, width
    return None


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
