"""The page of `check`: findings with pictures, samples, numbers, distributions and anchors."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_util

from ...data.check.findings import LEVELS, NOTE, Finding, Location
from ...data.check.inspection import Inspection, Part
from ...data.datasets.annotations import ImageFrame, as_rle, bounds_of
from ...data.datasets.records import Record
from ..html.charts import Chart, histogram_chart
from ..html.templates import STYLE, render_template
from ..pictures import PAPER, draw_objects, read_viewable
from .text import (
    anchor_cells,
    anchor_header,
    anchors_in_words,
    class_cells,
    class_header,
    summary_rows,
)

_SAMPLES = 12
_SAMPLE_SIDE, _LOCATION_SIDE = 480, 320  # pixels
_PICTURES = 8  # of each finding
_LISTED = 200  # locations of each finding; json has all
_MOST_SIDE_BY_SIDE = 3
WHOLE, OBJECT = 640, 320  # pixels of the longer side
_MARGIN = 0.6  # of the object's longer side, around it
_LEAST_MARGIN = 24  # pixels
_MOST_NAMED = 15  # objects whose class names do not hide the picture
_QUALITY = 82
_GAP = 6
Window = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class _Picture:
    """An image of the page: its `data:` address, its size in pixels, and what stands under it."""

    source: str
    width: int
    height: int
    caption: str


def as_page(inspection: Inspection, parts: Sequence[Part], seed: int = 0) -> str:
    """The page as HTML.

    Args:
        parts: the data sets, for pictures.
        seed: which images are shown as samples.
    """
    album = _Album(parts)
    names = [summary.part for summary in inspection.summaries]
    return render_template(
        "check.html.j2",
        styles=(STYLE, "check.css"),
        summaries=inspection.summaries,
        counts=[(level, inspection.count(level)) for level in LEVELS],
        findings=[_finding(finding, album) for finding in inspection.findings],
        samples=album.samples(seed),
        numbers=[["", *names]]
        + [[name, *values] for name, values in summary_rows(inspection.summaries)],
        class_header=class_header(names),
        classes=_classes(inspection),
        charts=_charts(inspection),
        anchors=_anchors(inspection),
    )


class _Album:
    """Pictures of the data sets' images."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = {part.name: part.dataset for part in parts}

    def samples(self, seed: int) -> list[_Picture]:
        """Images with their masks, drawn at random, those with objects first."""
        rng, pictures = np.random.default_rng(seed), []
        share = -(-_SAMPLES // len(self.parts))
        for name, dataset in self.parts.items():
            order = rng.permutation(len(dataset.records))
            has_objects = dataset.records.num_objects[order] > 0
            for image in order[np.argsort(~has_objects, kind="stable")][:share]:
                record = dataset.records[int(image)]
                pixels = whole_picture(record, dataset.labels, _SAMPLE_SIDE)
                count = len(record["annotations"])
                words = f"{name} image {record['image_id']}: {count} object{'s' * (count != 1)}"
                if pixels is not None:
                    pictures.append(_picture(pixels, words))
        return pictures

    def of(self, location: Location) -> _Picture | None:
        """The picture of a location, if it has one that can be read."""
        if location.part not in self.parts:
            return None
        dataset = self.parts[location.part]
        record = dataset.records[location.image]
        if location.others:
            shown = [(location.part, location.image), *location.others][:_MOST_SIDE_BY_SIDE]
            pixels = side_by_side([self.parts[name].records[image] for name, image in shown])
        elif location.objects:
            pixels = object_picture(record, dataset.labels, location.objects)
        else:
            pixels = whole_picture(record, dataset.labels, _LOCATION_SIDE)
        return None if pixels is None else _picture(pixels, _without_folders(location.text))


def _picture(pixels: np.ndarray, caption: str) -> _Picture:
    height, width = pixels.shape[:2]
    return _Picture(embedded(pixels), width, height, caption)


def _without_folders(words: str) -> str:
    """A text whose quoted file names have lost their folders."""
    return "'".join(
        piece.rsplit("/", 1)[-1] if k % 2 else piece for k, piece in enumerate(words.split("'"))
    )


def _finding(finding: Finding, album: _Album) -> dict[str, Any]:
    pictures = [album.of(location) for location in finding.locations[:_PICTURES]]
    return {
        "level": finding.level,
        "headline": finding.headline(),
        "part": finding.part,
        "remedy": _sentence(finding.remedy),
        "is_open": finding.level != NOTE,
        "is_paired": any(location.others for location in finding.locations),
        "pictures": [picture for picture in pictures if picture is not None],
        "locations": [location.text for location in finding.locations[:_LISTED]],
        "num_more": len(finding.locations) - _LISTED,
    }


def _sentence(words: str) -> str:
    is_name = "." in words.split(":")[0].split()[0]  # of a setting
    return (words if is_name else words[0].upper() + words[1:]) + "."


def _classes(inspection: Inspection) -> list[tuple[list[str], float]]:
    """Cells of each class, the most frequent first, and the length of its bar, a fraction."""
    ordered = sorted(inspection.classes, key=lambda row: -sum(row.objects))
    most = max((share for row in ordered for share in row.share), default=0) or 1
    return [(class_cells(row), row.share[0] / most) for row in ordered]


def _charts(inspection: Inspection) -> list[Chart]:
    return [
        histogram_chart(
            f"histogram {k}", drawn.title, drawn.edges, drawn.parts,
            x_label=drawn.unit, is_log=drawn.is_log, marks=drawn.marks,
        )
        for k, drawn in enumerate(inspection.histograms)
    ]  # fmt: skip


def _anchors(inspection: Inspection) -> dict[str, Any] | None:
    report = inspection.anchors
    if report is None:
        return None
    return {
        "resizing": inspection.plan.resizing,
        "used": anchors_in_words(report.used),
        "better": anchors_in_words(report.better) if report.better else "",
        "rows": [anchor_header(report), *anchor_cells(report)],
    }


def whole_picture(record: Record, labels: Sequence[str], side: int = WHOLE) -> np.ndarray | None:
    """An image with all its objects; None if it cannot be read."""
    window = (0, 0, record["width"], record["height"])
    return _drawn(record, labels, range(len(record["annotations"])), window, side)


def object_picture(
    record: Record, labels: Sequence[str], indices: Sequence[int], side: int = OBJECT
) -> np.ndarray | None:
    """Some objects of an image and a little around them; None if it cannot be read."""
    annotations = [record["annotations"][index] for index in indices]
    return _drawn(record, labels, indices, _around(record, annotations), side)


def side_by_side(records: Sequence[Record], side: int = OBJECT) -> np.ndarray | None:
    """Images beside each other without their objects; None if none can be read."""
    pictures = [
        _drawn(record, [], [], (0, 0, record["width"], record["height"]), side)
        for record in records
    ]
    readable = [picture for picture in pictures if picture is not None]
    if not readable:
        return None
    height = max(picture.shape[0] for picture in readable)
    panels, paper = [], (PAPER,) * 3
    for picture in readable:
        edges = (0, height - picture.shape[0], _GAP, 0)  # top, bottom, left, right
        panels.append(cv2.copyMakeBorder(picture, *edges, cv2.BORDER_CONSTANT, value=paper))
    return np.hstack(panels)[:, _GAP:]


def embedded(picture: np.ndarray) -> str:
    """The picture as a `data:` address of a JPEG."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _drawn(
    record: Record, labels: Sequence[str], indices: Sequence[int], window: Window, side: int
) -> np.ndarray | None:
    size = (record["height"], record["width"])
    try:
        image = read_viewable(record["file_name"], size, record.get("as_stored", False))
    except (OSError, ValueError):
        return None
    left, top, right, bottom = window
    scale = side / max(right - left, bottom - top)
    shape = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    part = np.ascontiguousarray(image[top:bottom, left:right])
    picture = cv2.resize(part, shape, interpolation=shrinks)
    is_crowded = len(indices) > _MOST_NAMED
    named = None if is_crowded or len(labels) == 1 else labels  # one class needs no name
    objects = [_object(record["annotations"][k], size, named, window, shape) for k in indices]
    return draw_objects(picture, list(map(_without_box, objects)) if is_crowded else objects)


def _without_box(drawn: dict[str, Any]) -> dict[str, Any]:
    """A mask alone: boxes of many objects hide what they are about."""
    x, y, width, height = drawn["bbox"]
    return {**drawn, "bbox": [x + width / 2, y + height / 2, 0, 0]}


def _object(
    annotation: dict[str, Any],
    size: tuple[int, int],
    labels: Sequence[str] | None,
    window: Window,
    shape: tuple[int, int],
) -> dict[str, Any]:
    """An annotation in the form of a prediction, moved into the window."""
    left, top, right, bottom = window
    mask = mask_util.decode(as_rle(annotation["segmentation"], ImageFrame(*size)))
    part = np.ascontiguousarray(mask[top:bottom, left:right])
    zoom = np.array([shape[0] / (right - left), shape[1] / (bottom - top)])
    x, y, width, height = annotation["bbox"]
    corner, sides = np.array([x - left, y - top]) * zoom, np.array([width, height]) * zoom
    crowd = " (crowd)" if annotation.get("iscrowd") else ""
    return {
        "bbox": [*corner.tolist(), *sides.tolist()],
        "mask": cv2.resize(part, shape, interpolation=cv2.INTER_NEAREST),
        "category": labels[annotation["category_id"]] + crowd if labels is not None else "",
        "category_id": annotation["category_id"] + 1,
        "score": None,
    }


def _around(record: Record, annotations: Sequence[dict[str, Any]]) -> Window:
    """A window with the boxes and the masks of some annotations, and a margin."""
    boxes = [a["bbox"] for a in annotations] + [bounds_of(a["segmentation"]) for a in annotations]
    low = np.array([box[:2] for box in boxes]).min(axis=0)
    high = np.array([[box[0] + box[2], box[1] + box[3]] for box in boxes]).max(axis=0)
    margin = max(_LEAST_MARGIN, _MARGIN * float((high - low).max()))
    left, top = np.floor(np.maximum(low - margin, 0)).astype(int).tolist()
    right = min(record["width"], int(np.ceil(high[0] + margin)))
    bottom = min(record["height"], int(np.ceil(high[1] + margin)))
    return left, top, max(right, left + 1), max(bottom, top + 1)
