"""Each flaw of the drawn data is found where it is, and nothing else."""

import numpy as np
import pytest

from paddlex_maskrcnn.data.check.collecting import open_part
from paddlex_maskrcnn.data.check.inspection import inspect
from paddlex_maskrcnn.data.check.scan import scan
from paddlex_maskrcnn.data.datasets import CocoDetection, DatasetError
from support.flawed_coco import FlawedCoco


def places(found, kind, part=""):
    """File names in the places of the findings of a kind."""
    chosen = [one for one in found.findings if one.kind == kind and part in ("", one.part)]
    return [
        {
            piece.rsplit("/", 1)[-1]
            for piece in place.text.split("'")
            if piece.endswith((".png", ".jpg"))
        }
        for one in chosen
        for place in one.places
    ]


@pytest.mark.parametrize(
    ("kind", "level", "expected"),
    [
        ("listed-twice", "error", [{"listed.png"}]),
        ("leak", "error", [{"leaked.png", "leaks.png"}, {"plain0.png"}]),
        ("near-leak", "warning", [{"leaked_nearly.png", "leaks_nearly.png"}]),
        ("copies", "warning", [{"copied.png", "copy.png"}]),
        ("conflicts", "warning", [{"copied.png", "copy.png"}]),
        ("near-copies", "note", [{"alike.png", "looks.png"}]),
        ("double", "warning", [{"double.png"}]),
        ("two-classes", "warning", [{"two_classes.png"}]),
        ("box-off-mask", "warning", [{"box_off.png"}]),
        ("tiny", "note", [{"tiny.png"}]),
        ("holes", "note", [{"hole.png"}]),
        ("crowded", "warning", [{"many.png"}]),
        ("mixed-kinds", "warning", [{"deep.png"}]),
        ("orientation", "note", [{"turned.jpg"}]),
        ("no-objects", "note", [{"copy.png"}]),
    ],
)
def test_each_flaw_is_found_where_it_is(found, kind, level, expected):
    levels = {one.level for one in found.findings if one.kind == kind}
    seen = sorted(map(sorted, places(found, kind)))
    assert seen == sorted(map(sorted, expected))
    assert levels == {level}


def test_what_the_reader_complained_about_does_not_stop(found):
    """A missing image stops training; here it is a finding beside the bad annotation."""
    reading = {one.title: one for one in found.findings if one.kind == "reading"}
    assert reading["missing image"].level == "error"
    assert "missing.png" in reading["missing image"].places[0].text
    assert reading["annotation without segmentation"].level == "warning"
    assert found.worst == "error"


def test_classes(found):
    texts = {
        one.kind: [place.text for place in one.places]
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


def test_numbers(found):
    train = found.summaries[0]
    assert (train.images, train.empty, train.crowd) == (21, 1, 0)
    assert train.objects == sum(row.objects[0] for row in found.classes)
    assert train.with_holes == pytest.approx(1 / train.objects)
    for one in found.histograms:
        for shares in one.parts.values():
            assert shares.sum() == pytest.approx(1), one.title


def test_sizes_after_resizing(found, plan):
    """Twice the side: the 30 x 30 squares (900 pixels) are small in the file, medium afterwards."""
    in_file, resized = found.summaries[1].sizes
    assert in_file == (1.0, 0.0, 0.0)
    assert resized == (0.0, 1.0, 0.0)


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


def test_classes_in_another_order(flawed, plan, tmp_path):
    text = flawed.files["val"].read_text().replace('"cat"', '"dag"')
    (tmp_path / "other.json").write_text(text)
    parts = [
        open_part("train", lambda: CocoDetection(flawed.data_dir, flawed.files["val"])),
        open_part("eval", lambda: CocoDetection(flawed.data_dir, tmp_path / "other.json")),
    ]
    found = inspect(parts, plan, num_workers=0)
    differ = next(one for one in found.findings if one.kind == "unequal-labels")
    assert [place.text for place in differ.places] == ["only train: 'cat'", "only eval: 'dag'"]


def test_workers_change_nothing(tiny_shapes):
    alone, shared = (scan(tiny_shapes(num_images=70), "data", workers) for workers in (0, 2))
    assert alone.files == shared.files
    assert [one.digest for one in alone.prints] == [one.digest for one in shared.prints]
    np.testing.assert_array_equal(alone.objects.box, shared.objects.box)
