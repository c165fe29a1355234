"""Data sets are opened and inspected without stopping at what is wrong with them."""

import pytest

from paddlex_maskrcnn.data.check.inspection import inspect, open_part
from paddlex_maskrcnn.data.datasets import CocoDetection, DatasetError
from support.flawed_coco import FlawedCoco


def test_problems_do_not_leak_into_ordinary_reading(flawed, found):
    with pytest.raises(DatasetError, match="missing image"):
        CocoDetection(flawed.data_dir, flawed.files["train"])


def test_what_cannot_be_understood_stops(tmp_path):
    (tmp_path / "bad.json").write_text("[1, 2")
    with pytest.raises(DatasetError, match="is not json"):
        open_part("data", lambda: CocoDetection(tmp_path, tmp_path / "bad.json"))


def test_data_of_which_nothing_is_left(tmp_path, plan):
    flawed = FlawedCoco(tmp_path / "flawed")
    for path in flawed.data_dir.iterdir():
        path.unlink()
    part = open_part("data", lambda: CocoDetection(flawed.data_dir, flawed.files["val"]))
    found = inspect([part], plan, num_workers=0)
    kinds = {one.kind for one in found.findings}
    assert {"reading", "nothing-left"} <= kinds
    assert found.anchors is None
