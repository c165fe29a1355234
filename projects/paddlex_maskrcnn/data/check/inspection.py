"""A whole look at the data: measurements, tables and findings of all parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .anchor_findings import AnchorReport, anchor_finding, anchor_report
from .class_findings import class_findings
from .collecting import Part
from .copy_findings import copy_findings
from .findings import ERROR, LEVELS, Finding, in_order
from .object_findings import object_findings
from .plan import Plan
from .reading_findings import file_findings, problem_findings, unequal_labels
from .scan import Scan, scan
from .statistics import ClassRow, Histogram, Summary, class_table, histograms, summary


@dataclass
class Inspection:
    """Everything that was found out.

    Attributes:
        plan: what the network is going to do with the data.
        scans: measurements of each part.
        findings: errors first.
        summaries: numbers of each part.
        classes: one row a class.
        histograms: the distributions.
        anchors: how well they fit; None when there is no object.
    """

    plan: Plan
    scans: list[Scan]
    findings: list[Finding]
    summaries: list[Summary]
    classes: list[ClassRow]
    histograms: list[Histogram]
    anchors: AnchorReport | None

    def count(self, level: str) -> int:
        """How many findings of this level there are."""
        return sum(one.level == level for one in self.findings)

    @property
    def worst(self) -> str | None:
        """The highest level among the findings."""
        return next((level for level in LEVELS if self.count(level)), None)


def inspect(
    parts: Sequence[Part],
    plan: Plan,
    num_workers: int | str = "auto",
    progress: Callable[[int], None] | None = None,
) -> Inspection:
    """Look at all images and objects of all parts.

    Args:
        plan: what the network is going to do with them.
        num_workers: processes that read images, or 'auto'.
        progress: told how many more images are done.
    """
    scans = [scan(part.dataset, part.name, num_workers, progress) for part in parts]
    table = class_table(scans)
    findings: list[Finding] = []
    for part, one in zip(parts, scans, strict=True):
        findings += problem_findings(part.name, part.problems)
        findings += [_nothing(one)] if not one.files else []
        findings += file_findings(one) + object_findings(one, plan)
    findings += unequal_labels(scans) + copy_findings(scans) + class_findings(scans, table)
    has_objects = bool((~scans[0].objects.is_crowd).any())
    anchors = anchor_report(scans, plan) if has_objects else None
    findings += anchor_finding(anchors) if anchors else []
    return Inspection(
        plan=plan,
        scans=scans,
        findings=in_order(findings),
        summaries=[summary(one, plan) for one in scans],
        classes=table,
        histograms=histograms(scans, plan),
        anchors=anchors,
    )


def _nothing(one: Scan) -> Finding:
    remedy = "set right what the other findings of this part name, and check again"
    title = f"{one.name} has no image that can be used"
    return Finding("nothing-left", ERROR, title, remedy, one.name, is_single=True)
