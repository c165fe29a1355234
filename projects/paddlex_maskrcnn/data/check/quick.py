"""The findings of `check` that cost next to nothing, for those who train without having checked.

Classes and their counts stand in columns of the records; a file that is listed twice shows in a column
too. What needs outlines is looked at in some images only, evenly spread: faults of that kind come from
an exporter and are everywhere. No picture is opened.
"""

from collections.abc import Mapping

import numpy as np

from ..datasets.base import DetectionDataset
from .classes import class_findings
from .findings import NOTE, Finding, in_order, listed_twice, mostly_outside, two_corners
from .objects import ObjectColumns, Objects, measured
from .scan import Overview, Scan, groups_of
from .statistics import class_table

_IMAGES, _OBJECTS = 100, 1000  # that are looked at, at most


def quick_findings(parts: Mapping[str, DetectionDataset]) -> list[Finding]:
    """Errors and warnings that are seen at once, the worst first.

    Args:
        parts: data sets by the name of their part, the one to train on first.
    """
    overviews = [_overview(dataset, name) for name, dataset in parts.items()]
    findings = class_findings(overviews, class_table(overviews))
    for name, dataset in parts.items():
        findings.append(listed_twice(_some(dataset, name, dataset.records.shared_files())))
        findings += _of_sample(dataset, name)
    return [finding for finding in in_order(findings) if finding.level != NOTE]


def as_line(finding: Finding, command: str) -> str:
    """A finding as a line of a log.

    Args:
        command: shows everything.
    """
    part = f" ({finding.part})" if finding.part else ""
    first = finding.locations[0].text if finding.locations else ""
    more = f" and {len(finding.locations) - 1} more" if len(finding.locations) > 1 else ""
    seen = f": {first}{more}" if first else ""
    return f"data{part}: {finding.headline()}{seen}; {finding.remedy}. More: {command}"


def _of_sample(dataset: DetectionDataset, name: str) -> list[Finding]:
    rows = _spread(dataset.records.num_objects)
    sample = _some(dataset, name, rows, with_objects=True)
    findings = [two_corners(sample), mostly_outside(sample)]
    if (dataset.records.num_objects > 0).sum() > len(rows):
        for finding in findings:
            finding.title += f", in {len(rows)} of {dataset.num_samples} images"
    return findings


def _overview(dataset: DetectionDataset, name: str) -> Overview:
    records = dataset.records
    image = np.repeat(np.arange(len(records)), records.num_objects)
    columns = ObjectColumns(image, records.classes, records.is_crowd)
    return Overview(name, dataset.name, dataset.labels, groups_of(dataset), columns)


def _spread(num_objects: np.ndarray) -> np.ndarray:
    """Positions of images with objects, at equal distances, so many that the limits hold."""
    rows = np.flatnonzero(num_objects)
    rows = rows[:: max(1, -(-len(rows) // _IMAGES))]
    return rows[np.cumsum(num_objects[rows]) <= max(_OBJECTS, *num_objects[rows[:1]], 0)]


def _some(
    dataset: DetectionDataset, name: str, rows: np.ndarray, *, with_objects: bool = False
) -> Scan:
    """The images of these positions, without a look at their files."""
    records = [dataset.records[int(row)] for row in rows]
    tables = [measured(record, k)[0] for k, record in enumerate(records)] if with_objects else []
    return Scan(
        name=name,
        source=dataset.name,
        labels=dataset.labels,
        groups=groups_of(dataset),
        objects=Objects.joined(tables),
        files=[record["file_name"] for record in records],
        ids=[record["image_id"] for record in records],
        sizes=dataset.sizes[rows],
        fingerprints=[],
        twins=[],
    )
