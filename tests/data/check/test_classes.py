"""Classes without objects, rare ones, groups of others, and parts that differ."""

import numpy as np
import pytest

from paddlex_maskrcnn.data.check.classes import class_findings
from paddlex_maskrcnn.data.check.inspection import inspect, open_part
from paddlex_maskrcnn.data.check.objects import ObjectColumns
from paddlex_maskrcnn.data.check.scan import Overview
from paddlex_maskrcnn.data.check.statistics import class_table
from paddlex_maskrcnn.data.datasets import CocoDetection


def test_classes(found):
    texts = {
        one.kind: [location.text for location in one.locations]
        for one in found.findings
        if one.kind.endswith("class")
    }
    assert texts["empty-class"] == ["class 'empty'"]
    assert texts["unlearned-class"] == ["class 'val only': 1 in eval"]
    assert texts["unmeasured-class"] == ["class 'rare': 1 in train"]
    assert "class 'rare': 1" in texts["rare-class"]
    rows = {row.name: row for row in found.classes}
    assert rows["rare"].objects == (1, 0)
    assert rows["dog"].images == (7, 2)
    assert sum(row.share[0] for row in found.classes) == pytest.approx(1)


def test_classes_in_another_order(flawed, plan, tmp_path):
    text = flawed.files["val"].read_text().replace('"cat"', '"dag"')
    (tmp_path / "other.json").write_text(text)
    parts = [
        open_part("train", lambda: CocoDetection(flawed.data_dir, flawed.files["val"])),
        open_part("eval", lambda: CocoDetection(flawed.data_dir, tmp_path / "other.json")),
    ]
    found = inspect(parts, plan, num_workers=0)
    differ = next(one for one in found.findings if one.kind == "unequal-labels")
    assert [location.text for location in differ.locations] == [
        "only train: 'cat'",
        "only eval: 'dag'",
    ]


def part_of(counts, groups):
    """A part with so many objects of each class, one an image."""
    category = np.repeat(np.arange(len(counts)), list(counts.values()))
    columns = ObjectColumns(np.arange(len(category)), category, np.zeros(len(category), bool))
    return Overview("train", "", list(counts), groups, columns)


@pytest.mark.parametrize(
    ("counts", "groups", "kinds"),
    [
        # Roboflow's: the class 0 is the project, and all others are in it
        ({"fruits-Ab1": 0, "apple": 20}, ["none", "fruits-Ab1"], {"root-class": ["fruits-Ab1"]}),
        # with objects it is a class
        ({"fruits": 20, "apple": 20}, ["none", "fruits"], {}),
        # each its own group, as formats without groups have it
        ({"pear": 0, "apple": 20}, ["pear", "apple"], {"empty-class": ["pear"]}),
        ({"pear": 0, "root": 0, "apple": 20}, ["root", "none", "root"],
         {"empty-class": ["pear"], "root-class": ["root"]}),
    ],
)  # fmt: skip
def test_an_exporters_root_is_told_from_a_class_without_objects(counts, groups, kinds):
    part = part_of(counts, groups)
    findings = class_findings([part], class_table([part]))
    assert {
        one.kind: [o.text.split("'")[1] for o in one.locations] for one in findings if one.locations
    } == kinds
