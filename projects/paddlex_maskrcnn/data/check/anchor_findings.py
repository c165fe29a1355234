"""How well the anchors fit, for each part and size of objects, and what would fit better."""

from dataclasses import dataclass

import numpy as np

from .anchor_search import better_anchors
from .anchors import SIZE_BOUNDS, AnchorSet, ResizedBoxes, best_overlap, recall
from .findings import NOTE, WARNING, Finding
from .plan import Plan, resized_boxes
from .scan import Scan
from .statistics import SIZE_NAMES

_LEAST_RECALL = 0.9  # at IoU 0.5


@dataclass(frozen=True)
class AnchorRow:
    """Recall of some boxes.

    Attributes:
        name: which boxes.
        boxes: how many.
        before: recall at IoU 0.5 and 0.7, and mean best IoU, of the anchors in use.
        after: likewise of those that fit better, None without such.
    """

    name: str
    boxes: int
    before: tuple[float, float, float]
    after: tuple[float, float, float] | None


@dataclass(frozen=True)
class AnchorReport:
    """Anchors in use and, where some fit clearly better, these.

    Attributes:
        used: the anchors in use.
        better: chosen on the first part's boxes; None where none fit clearly better.
        rows: all boxes of each part, then by size.
    """

    used: AnchorSet
    better: AnchorSet | None
    rows: list[AnchorRow]


def anchor_report(scans: list[Scan], plan: Plan, seed: int = 0) -> AnchorReport:
    """Recall of the anchors, and a better set looked for on the first part."""
    boxes = [resized_boxes(scan, plan)[0] for scan in scans]
    better = better_anchors(boxes[0], plan.anchors, seed)
    rows = [
        _row(f"{scan.name}: all", found, plan.anchors, better)
        for scan, found in zip(scans, boxes, strict=True)
    ]
    areas = boxes[0].boxes[:, 2:].prod(axis=1)
    group = np.digitize(areas, SIZE_BOUNDS)
    for k, name in enumerate(SIZE_NAMES):
        chosen = boxes[0].some(np.flatnonzero(group == k))
        if len(chosen):
            rows.append(_row(f"{scans[0].name}: {name}", chosen, plan.anchors, better))
    return AnchorReport(plan.anchors, better, rows)


def anchor_finding(report: AnchorReport) -> list[Finding]:
    """One statement when other anchors would fit clearly better, or those in use fit badly."""
    before, after = report.rows[0].before, report.rows[0].after
    told = f"anchors reach IoU 0.5 with {before[0]:.0%} and 0.7 with {before[1]:.0%} of the objects"
    level = WARNING if before[0] < _LEAST_RECALL else NOTE
    if report.better is not None and after is not None:
        sizes, ratios = _yaml(report.better.sizes), _yaml(report.better.ratios)
        remedy = (
            f"model.anchor_sizes: {sizes}, model.aspect_ratios: {ratios} reach {after[0]:.0%} and "
            f"{after[1]:.0%} (train from pretrained backbones; whole detectors expect their own)"
        )
        return [Finding("anchors", level, told, remedy, is_single=True)]
    if level == NOTE:
        return []
    remedy = "no set of the same form is clearly better; larger images help small objects"
    return [Finding("anchors", NOTE, told, remedy, is_single=True)]


def _row(name: str, found: ResizedBoxes, used: AnchorSet, better: AnchorSet | None) -> AnchorRow:
    after = None if better is None else _quality(found, better)
    return AnchorRow(name, len(found), _quality(found, used), after)


def _quality(found: ResizedBoxes, anchors: AnchorSet) -> tuple[float, float, float]:
    overlaps = best_overlap(found, anchors)
    mean = float(overlaps.mean()) if len(overlaps) else 1.0
    return recall(overlaps, 0.5), recall(overlaps, 0.7), mean


def _yaml(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
