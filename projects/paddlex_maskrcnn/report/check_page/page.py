"""The page of `check`: findings with pictures, samples, numbers, distributions and anchors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.check.findings import LEVELS, NOTE, Finding, Location
from ...data.check.inspection import Inspection, Part
from ..html.charts import Chart, histogram_chart
from ..html.templates import STYLE, render_template
from .crops import embedded, object_picture, side_by_side, whole_picture
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
