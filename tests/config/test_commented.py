import pytest
import yaml

from paddlex_maskrcnn.config.commented import Line, commented
from paddlex_maskrcnn.config.interpolation import resolve
from paddlex_maskrcnn.config.yaml_io import load

LINES = [
    Line("profile", "fast", "because: of this"),
    Line(
        "data",
        [
            Line(
                "parts",
                [
                    Line("", [Line("type", "A"), Line("name", "x # y")]),
                    Line("", [Line("type", "B")]),
                ],
            ),
            Line(
                "steps",
                [Line("", "Flip"), Line("", [Line("Resize", {"to": "auto", "max": 3}, "why")])],
            ),
            Line("empty", []),
            Line("paths", ["a: b", "c'd", "no", "1e3"]),
        ],
        "a reason of a section",
    ),
]
PLAIN = {
    "profile": "fast",
    "data": {
        "parts": [{"type": "A", "name": "x # y"}, {"type": "B"}],
        "steps": ["Flip", {"Resize": {"to": "auto", "max": 3}}],
        "empty": [],
        "paths": ["a: b", "c'd", "no", "1e3"],
    },
}


def test_text_reads_back_as_the_values():
    text = commented(["first", "", "# third: [x"], LINES)
    assert load(text) == yaml.safe_load(text) == PLAIN


def test_reasons_stand_behind_their_values():
    lines = commented(["first"], LINES).splitlines()
    assert lines[0] == "# first"
    reasons = {
        line.split(":")[0].strip(" -"): line.partition("  # ")[2]
        for line in lines[1:]
        if ":" in line
    }
    assert reasons["profile"] == "because: of this"
    assert reasons["data"] == "a reason of a section"
    assert reasons["Resize"] == "why"
    assert reasons["empty"] == ""


@pytest.mark.parametrize("name", ["/a/${b}/c", "/a/${b", "ä # ö", "本　箱", "a: b", "[x", "' \""])
def test_names_of_folders_are_read_as_they_are(name):
    text = commented([f"Source: {name}"], [Line("data", [Line("dir", name, f"of {name}")])])
    problems = []
    assert resolve(load(text), {}, problems) == {"data": {"dir": name}}
    assert not problems
    assert text.startswith(f"# Source: {name}\n")


def test_no_text_ends_its_comment():
    text = commented(["a\nb: 1", "c\u2028d: 2"], [Line("key", 1, "e\r\nf: 3 \x07")])
    assert load(text) == {"key": 1}
