"""The scripts of `benchmarks/` as they see each other: their folder is where imports begin."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
if str(BENCHMARKS) not in sys.path:
    sys.path.append(str(BENCHMARKS))

ABOUT = {
    "command": "python benchmarks/run.py --quick",
    "date": "2026-11-22T12:00:00+00:00",
    "commit": "0123456789ab",
    "uncommitted_changes": False,
    "machine": {"processor": "a CPU", "cores": 2, "memory_gib": 8.0, "load_before": 0.1},
    "versions": {"python": "3.11.0", "torch": "2.14.1", "torchvision": "0.29.1"},
    "settings": {"threads": 2, "rounds": 3, "size": 512},
}


@pytest.fixture
def record():
    """Makes a record of one row: record(ours, theirs, checks=...)."""
    from side_by_side.record import Record, Row

    def build(ours, theirs, checks=(), work="one image"):
        row = Row("training step", work, "ours", "Detectron2", "s", list(ours), list(theirs))
        return Record(dict(ABOUT), [row], list(checks))

    return build
