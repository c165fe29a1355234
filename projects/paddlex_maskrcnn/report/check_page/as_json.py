"""What `check` found, for programs: every finding with all of its places."""

from dataclasses import asdict
from typing import Any

import numpy as np

from ...data.check.findings import LEVELS, Finding
from ...data.check.inspection import Inspection

FORMAT = 1  # raised when a key changes its meaning


def as_plain(found: Inspection) -> dict[str, Any]:
    """The inspection in dicts, lists, numbers and texts."""
    anchors = asdict(found.anchors) if found.anchors else None
    return {
        "format": FORMAT,
        "counts": {level: found.count(level) for level in LEVELS},
        "resizing": found.plan.resizing,
        "parts": [asdict(one) for one in found.summaries],
        "findings": [_finding(one) for one in found.findings],
        "classes": [asdict(one) for one in found.classes],
        "anchors": anchors,
        "histograms": [
            {
                "title": one.title,
                "unit": one.unit,
                "edges": np.asarray(one.edges).tolist(),
                "parts": {name: shares.tolist() for name, shares in one.parts.items()},
            }
            for one in found.histograms
        ],
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "level": one.level,
        "part": one.part,
        "title": one.title,
        "remedy": one.remedy,
        "count": len(one.places),
        "out_of": one.out_of,
        "places": [place.text for place in one.places],
    }
