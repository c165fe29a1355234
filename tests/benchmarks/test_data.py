"""benchmarks/data.py: both sides open the same set."""

import pytest
from side_by_side.pictures import write_coco

from data import OURS, THEIRS, measure_opening, open_set


@pytest.fixture
def folder(tmp_path):
    write_coco(tmp_path, 20, per_image=5)
    return tmp_path


def test_both_have_all_objects(folder):
    for kind in (OURS, THEIRS):
        assert [len(record["annotations"]) for record in open_set(kind, folder)] == [5] * 4


def test_costs_are_measured(folder):
    costs = measure_opening(OURS, folder, workers=1)
    assert costs["open, s"] > 0
    assert costs["record, us"] > 0
    assert all(costs[name] >= 0 for name in ("CPU, s", "peak, MiB"))
