"""Each flaw of the drawn data is found where it is, and nothing else."""

import pytest


def locations(found, kind, part=""):
    """File names in the locations of the findings of a kind."""
    chosen = [one for one in found.findings if one.kind == kind and part in ("", one.part)]
    return [
        {
            piece.rsplit("/", 1)[-1]
            for piece in location.text.split("'")
            if piece.endswith((".png", ".jpg"))
        }
        for one in chosen
        for location in one.locations
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
    seen = sorted(map(sorted, locations(found, kind)))
    assert seen == sorted(map(sorted, expected))
    assert levels == {level}


def test_what_the_reader_complained_about_does_not_stop(found):
    """A missing image stops training; here it is a finding beside the bad annotation."""
    reading = {one.title: one for one in found.findings if one.kind == "reading"}
    assert reading["missing image"].level == "error"
    assert "missing.png" in reading["missing image"].locations[0].text
    assert reading["annotation without segmentation"].level == "warning"
    assert found.worst == "error"
