"""A whole look at the data: parts opened, measured, with tables and findings of all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..datasets.base import DetectionDataset
from ..datasets.problems import DatasetError, Problems, collect_problems
from .anchors import AnchorReport, anchor_finding, anchor_report
from .classes import class_findings, unequal_labels
from .duplicates import copy_findings
from .findings import (
    ERROR,
    LEVELS,
    Finding,
    file_findings,
    in_order,
    object_findings,
    problem_findings,
)
from .plan import Plan
from .scan import Scan, scan
from .statistics import ClassRow, Histogram, Summary, class_table, histograms, summary
from .values import value_findings


@dataclass
class Part:
    """A part of the data that was opened.

    Attributes:
        name: `train`, `eval`, or `data` when there is only one.
        dataset: what could be used of it; may hold no image at all.
        problems: what reading it complained about.
    """

    name: str
    dataset: DetectionDataset
    problems: list[Problems]


@dataclass
class Inspection:
    """Everything that was measured, and what is wrong.

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
        return sum(finding.level == level for finding in self.findings)

    @property
    def worst(self) -> str | None:
        """The highest level among the findings."""
        return next((level for level in LEVELS if self.count(level)), None)


def open_part(name: str, build: Callable[[], DetectionDataset]) -> Part:
    """Build a data set without stopping at what is wrong with it, so that all is reported at once.

    Args:
        build: opens the data set.

    Raises:
        DatasetError: when nothing can be understood, as with a file that is no json.
    """
    with collect_problems() as problems:
        try:
            dataset = build()
        except DatasetError as error:
            reasons = [read.report() for read in problems if read.occurrences]
            raise DatasetError("\n".join([*reasons, str(error)])) from error
    return Part(name, dataset, problems)


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
        progress: called with how many more images are done.
    """
    scans = [scan(part.dataset, part.name, num_workers, progress) for part in parts]
    table = class_table(scans)
    findings: list[Finding] = []
    for part, scanned in zip(parts, scans, strict=True):
        findings += problem_findings(part.name, part.problems)
        findings += [_nothing_left(scanned)] if not scanned.files else []
        findings += file_findings(scanned) + value_findings(scanned, plan)
        findings += object_findings(scanned, plan)
    findings += unequal_labels(scans) + copy_findings(scans) + class_findings(scans, table)
    has_objects = bool((~scans[0].objects.is_crowd).any())
    anchors = anchor_report(scans, plan) if has_objects else None
    findings += anchor_finding(anchors) if anchors else []
    return Inspection(
        plan=plan,
        scans=scans,
        findings=in_order(findings),
        summaries=[summary(scanned, plan) for scanned in scans],
        classes=table,
        histograms=histograms(scans, plan),
        anchors=anchors,
    )


def _nothing_left(scanned: Scan) -> Finding:
    remedy = "set right what the other findings of this part name, and check again"
    title = f"{scanned.name} has no image that can be used"
    return Finding("nothing-left", ERROR, title, remedy, scanned.name, is_single=True)
