"""What `check` found, as text for a terminal and as plain data for programs.

The text has findings first, then tables; the data has every finding with all of its locations.
"""

from collections.abc import Sequence
from dataclasses import asdict
from textwrap import fill
from typing import Any

import numpy as np

from ...data.check.anchors import AnchorReport
from ...data.check.findings import LEVELS, Finding
from ...data.check.inspection import Inspection
from ...data.check.plan import AnchorSet
from ...data.check.statistics import SIZE_NAMES, ClassRow, Summary

FORMAT = 1  # of the data, raised when a key changes its meaning
_SHOWN = 3  # locations of each finding
_CLASSES = 25
_WIDTH = 110


def as_text(inspection: Inspection) -> str:
    """The whole report, lines of at most 110 characters but for file names."""
    parts = [_headline(inspection), *(_finding(finding) for finding in inspection.findings)]
    parts += [_summaries(inspection.summaries), _classes(inspection)]
    if inspection.anchors:
        parts.append(_anchors(inspection.anchors, inspection.plan.resizing))
    return "\n\n".join(parts) + "\n"


def as_plain(inspection: Inspection) -> dict[str, Any]:
    """The inspection in dicts, lists, numbers and texts."""
    return {
        "format": FORMAT,
        "counts": {level: inspection.count(level) for level in LEVELS},
        "resizing": inspection.plan.resizing,
        "parts": [asdict(summary) for summary in inspection.summaries],
        "findings": [_plain_finding(finding) for finding in inspection.findings],
        "classes": [asdict(row) for row in inspection.classes],
        "anchors": asdict(inspection.anchors) if inspection.anchors else None,
        "histograms": [
            {
                "title": histogram.title,
                "unit": histogram.unit,
                "edges": np.asarray(histogram.edges).tolist(),
                "parts": {name: shares.tolist() for name, shares in histogram.parts.items()},
            }
            for histogram in inspection.histograms
        ],
    }


def _plain_finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "level": finding.level,
        "part": finding.part,
        "title": finding.title,
        "remedy": finding.remedy,
        "count": len(finding.locations),
        "out_of": finding.out_of,
        "places": [location.text for location in finding.locations],
    }


def _headline(inspection: Inspection) -> str:
    """How many findings of each level, and of which data."""
    counts = []
    for level in LEVELS:
        count = inspection.count(level)
        counts.append(f"{count} {level}" + ("" if count == 1 else "s"))
    sources = [f"  {summary.part}: {summary.source}" for summary in inspection.summaries]
    return "\n".join([", ".join(counts), *sources])


def _finding(finding: Finding) -> str:
    part = f"{finding.part}: " if finding.part and not finding.is_single else ""
    lines = [f"{finding.level.upper():7} {part}{finding.headline()}"]
    lines.append(
        fill(f"-> {finding.remedy}", _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 11)
    )
    lines += [f"        - {location.text}" for location in finding.locations[:_SHOWN]]
    if len(finding.locations) > _SHOWN:
        lines.append(f"        - and {len(finding.locations) - _SHOWN} more")
    return "\n".join(lines)


def _summaries(summaries: Sequence[Summary]) -> str:
    rows = [["", *(summary.part for summary in summaries)]]
    for name, values in summary_rows(summaries):
        rows.append([name, *values])
    return "What is there\n" + table(rows)


def _classes(inspection: Inspection) -> str:
    names = [summary.part for summary in inspection.summaries]
    ordered = sorted(inspection.classes, key=lambda row: -sum(row.objects))
    rows = [class_header(names), *(class_cells(row) for row in ordered[:_CLASSES])]
    more = len(ordered) - _CLASSES
    return "Classes\n" + table(rows) + (f"\n  and {more} more" if more > 0 else "")


def _anchors(report: AnchorReport, resizing: str) -> str:
    lines = [f"Anchors, after {resizing}", f"  in use: {anchors_in_words(report.used)}"]
    if report.better:
        lines.append(f"  better: {anchors_in_words(report.better)}")
    rows = [anchor_header(report), *anchor_cells(report)]
    return "\n".join(lines) + "\n" + table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, the first to the left, the others to the right; the first row on top."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def summary_rows(summaries: Sequence[Summary]) -> list[tuple[str, list[str]]]:
    """Name of a number -> its value in each part, as text."""
    rows = [
        ("images", [str(s.images) for s in summaries]),
        ("without objects", [str(s.empty) for s in summaries]),
        ("objects", [str(s.objects) for s in summaries]),
        ("objects an image", [f"{s.objects / max(1, s.images):.1f}" for s in summaries]),
        ("crowd regions", [str(s.crowd) for s in summaries]),
    ]
    for k, name in enumerate(SIZE_NAMES):
        shares = [f"{s.sizes[0][k]:.0%} / {s.sizes[1][k]:.0%}" for s in summaries]
        rows.append((f"{name} (in the file / resized)", shares))
    rows += [
        ("at the border", [f"{s.at_border:.0%}" for s in summaries]),
        ("in several parts", [f"{s.several_parts:.0%}" for s in summaries]),
        ("with holes", [f"{s.with_holes:.0%}" for s in summaries]),
    ]
    kinds = list(dict.fromkeys(kind for s in summaries for kind in s.kinds))
    return rows + [
        (f"files: {kind}", [str(s.kinds.get(kind, 0)) for s in summaries]) for kind in kinds
    ]


def class_header(parts: Sequence[str]) -> list[str]:
    """Heads of the columns of the class table."""
    heads = ("objects", "share", "images")
    return ["class", *(f"{part} {head}" for part in parts for head in heads)]


def class_cells(row: ClassRow) -> list[str]:
    """A class as cells."""
    cells = [row.name]
    for objects, share, images in zip(row.objects, row.share, row.images, strict=True):
        cells += ["-"] * 3 if objects < 0 else [str(objects), f"{share:.1%}", str(images)]
    return cells


def anchors_in_words(anchors: AnchorSet) -> str:
    """Sizes and ratios as experiment files have them."""
    sizes, ratios = (
        ", ".join(f"{value:g}" for value in values) for values in (anchors.sizes, anchors.ratios)
    )
    return f"anchor_sizes [{sizes}], aspect_ratios [{ratios}]"


def anchor_header(report: AnchorReport) -> list[str]:
    """Heads of the columns of the anchor table."""
    heads = ["objects", "count", "IoU >= 0.5", "IoU >= 0.7", "mean IoU"]
    return [*heads, "better: 0.5", "0.7", "mean"] if report.better else heads


def anchor_cells(report: AnchorReport) -> list[list[str]]:
    """The rows of the anchor table."""
    rows = []
    for row in report.rows:
        cells = [row.name, str(row.boxes)]
        for quality in (row.before, row.after):
            if quality is not None:
                cells += [f"{quality[0]:.0%}", f"{quality[1]:.0%}", f"{quality[2]:.2f}"]
        rows.append(cells)
    return rows
