"""What `check` found, for a terminal: findings first, then tables."""

from collections.abc import Sequence
from textwrap import fill

from ...data.check.anchor_findings import AnchorReport
from ...data.check.findings import LEVELS, Finding
from ...data.check.inspection import Inspection
from ...data.check.statistics import SIZE_NAMES, ClassRow, Summary

_SHOWN = 3  # places of each finding
_CLASSES = 25
_WIDTH = 110


def as_text(found: Inspection) -> str:
    """The whole report, lines of at most 110 characters but for file names."""
    parts = [_headline(found), *(_finding(one) for one in found.findings)]
    parts += [_summaries(found.summaries), _classes(found)]
    if found.anchors:
        parts.append(_anchors(found.anchors, found.plan.resizing))
    return "\n\n".join(parts) + "\n"


def counted(found: Inspection) -> str:
    """How many findings of each level."""
    parts = []
    for level in LEVELS:
        count = found.count(level)
        parts.append(f"{count} {level}" + ("" if count == 1 else "s"))
    return ", ".join(parts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, the first to the left, the others to the right; the first row on top."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _headline(found: Inspection) -> str:
    sources = "\n".join(f"  {one.part}: {one.source}" for one in found.summaries)
    return f"{counted(found)}\n{sources}"


def _finding(one: Finding) -> str:
    part = f"{one.part}: " if one.part and not one.is_single else ""
    lines = [f"{one.level.upper():7} {part}{one.headline()}"]
    lines.append(
        fill(f"-> {one.remedy}", _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 11)
    )
    lines += [f"        - {place.text}" for place in one.places[:_SHOWN]]
    if len(one.places) > _SHOWN:
        lines.append(f"        - and {len(one.places) - _SHOWN} more")
    return "\n".join(lines)


def _summaries(summaries: Sequence[Summary]) -> str:
    rows = [["", *(one.part for one in summaries)]]
    for name, values in summary_rows(summaries):
        rows.append([name, *values])
    return "What is there\n" + table(rows)


def summary_rows(summaries: Sequence[Summary]) -> list[tuple[str, list[str]]]:
    """Name of a number -> its value in each part, as text."""
    rows = [
        ("images", [str(one.images) for one in summaries]),
        ("without objects", [str(one.empty) for one in summaries]),
        ("objects", [str(one.objects) for one in summaries]),
        ("objects an image", [f"{one.objects / max(1, one.images):.1f}" for one in summaries]),
        ("crowd regions", [str(one.crowd) for one in summaries]),
    ]
    for k, name in enumerate(SIZE_NAMES):
        shares = [f"{one.sizes[0][k]:.0%} / {one.sizes[1][k]:.0%}" for one in summaries]
        rows.append((f"{name} (in the file / resized)", shares))
    rows += [
        ("at the border", [f"{one.at_border:.0%}" for one in summaries]),
        ("in several parts", [f"{one.several_parts:.0%}" for one in summaries]),
        ("with holes", [f"{one.with_holes:.0%}" for one in summaries]),
    ]
    kinds = list(dict.fromkeys(kind for one in summaries for kind in one.kinds))
    rows += [
        (f"files: {kind}", [str(one.kinds.get(kind, 0)) for one in summaries]) for kind in kinds
    ]
    return rows


def _classes(found: Inspection) -> str:
    names = [one.part for one in found.summaries]
    ordered = sorted(found.classes, key=lambda row: -sum(row.objects))
    rows = [class_header(names), *(class_cells(row) for row in ordered[:_CLASSES])]
    more = len(ordered) - _CLASSES
    return "Classes\n" + table(rows) + (f"\n  and {more} more" if more > 0 else "")


def class_header(parts: Sequence[str]) -> list[str]:
    """Heads of the columns of the class table."""
    heads = ("objects", "share", "images")
    return ["class", *(f"{part} {head}" for part in parts for head in heads)]


def class_cells(row: ClassRow) -> list[str]:
    """One class as cells."""
    cells = [row.name]
    for objects, share, images in zip(row.objects, row.share, row.images, strict=True):
        cells += ["-"] * 3 if objects < 0 else [str(objects), f"{share:.1%}", str(images)]
    return cells


def _anchors(report: AnchorReport, resizing: str) -> str:
    lines = [f"Anchors, after {resizing}", f"  in use: {anchors_in_words(report.used)}"]
    if report.better:
        lines.append(f"  better: {anchors_in_words(report.better)}")
    rows = [anchor_header(report), *anchor_cells(report)]
    return "\n".join(lines) + "\n" + table(rows)


def anchors_in_words(anchors: object) -> str:
    """Sizes and ratios as experiment files have them."""
    sizes, ratios = (getattr(anchors, name) for name in ("sizes", "ratios"))
    listed = [", ".join(f"{value:g}" for value in values) for values in (sizes, ratios)]
    return f"anchor_sizes [{listed[0]}], aspect_ratios [{listed[1]}]"


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
