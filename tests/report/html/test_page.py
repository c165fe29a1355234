"""The page: complete, self-contained, well-formed, and safe with any class name."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.metrics.analysis import analyse
from paddlex_maskrcnn.metrics.evaluation import compare
from paddlex_maskrcnn.report.comparisons import worst_images
from paddlex_maskrcnn.report.html.charts import training_charts
from paddlex_maskrcnn.report.html.page import Page, findings, fraction, render

VOID = {"meta", "img", "br", "link"}


class Reader(HTMLParser):
    """Checks nesting; collects attributes, ids and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.words, self.tags = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], "every tag is closed"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


@pytest.fixture
def html(analyses, metrics_rows, read_drawn):
    worst = worst_images(analyses[0], read_drawn, 3)
    return render(
        Page(
            title="a <run>", facts=[("images", "10")], analyses=analyses, worst=worst,
            training=training_charts(metrics_rows), note="a & note", config="model: {backbone: <x>}",
        )
    )  # fmt: skip


def test_sections_and_numbers(html, analyses):
    text = Reader(html).text
    for heading in ("Training", "Average precision", "Classes", "Precision and scores",
                    "What goes wrong", "Confusion matrix", "Worst images", "a & note",
                    "Configuration of the run", "Losses", "Learning rate", "Calibration"):  # fmt: skip
        assert heading in text
    found = analyses[0].average_precision
    assert f"mask AP {fraction(found.ap)}" in text
    for name, value in found.by_class.items():
        assert name in text
        assert value != value or fraction(value) in text
    point = found.overall
    for name, value in (("precision", point.precision), ("recall", point.recall), ("F1", point.f1)):
        at = f"at score {point.threshold:.2f}, where F1 is best"
        assert f"{name} {fraction(value)} {at}" in text
    assert "nan" not in text.lower()
    for kind in ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"):
        gain = fraction(analyses[0].errors.gains[kind])
        assert re.search(rf"{kind} .*?masks \+{re.escape(gain)}", text)


def test_needs_nothing_else(html):
    reader = Reader(html)
    assert "script" not in reader.tags
    for name, value in reader.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("data:image/jpeg;base64,", "#")), value[:80]
        assert not name.startswith("on")
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids)), "no id stands twice"
    for name, value in reader.attributes:
        if name == "xlink:href":
            assert value[1:] in ids
    assert len(html) < 1_000_000


def test_colours_follow_the_page(html):
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) == 6
    for drawing in drawings:
        assert re.findall(r"(?:fill|stroke): #\w+", drawing) == []
        assert "var(--s1)" in drawing
        assert 'width="' not in drawing.partition(">")[0]


def test_names_are_text(html):
    assert "nut &lt;M8&gt;" in html
    assert "<M8>" not in html
    assert "a &lt;run&gt;" in html
    assert "&lt;x&gt;" in html


def test_pictures_are_pictures(html):
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert len(pictures) == 6
    for data in pictures:
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert max(picture.shape[:2]) == 480


def test_narrow_screens_and_dark_rooms(html):
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert "@media (max-width: 520px)" in html


def test_nothing_detected_and_nothing_annotated(plain):
    truth, _ = plain
    for content in (truth, truth | {"annotations": []}):
        found = analyse(compare(content, [], "segm"))
        text = Reader(render(Page(title="x", facts=[], analyses=[found]))).text
        assert "nan" not in text.lower()
        assert "There are no pictures" in text


def test_many_classes(plain):
    truth, results = plain
    truth["categories"] += [{"id": 100 + k, "name": f"extra {k}"} for k in range(70)]
    html = render(Page(title="x", facts=[], analyses=[analyse(compare(truth, results, "bbox"))]))
    assert "74 classes are too many for a table" in Reader(html).text
    assert html.count("<tr>") < 130


def test_findings(analyses):
    text = " ".join(findings(analyses[0]))
    gains = analyses[0].errors.gains
    assert f"What costs most is {max(gains, key=gains.get)}" in text
    by_class = analyses[0].average_precision.by_class
    assert f"“{min(by_class, key=lambda k: (by_class[k] != by_class[k], by_class[k]))}”" in text
    assert "No number for 1 of 4 classes, which have no object here: “never”." in text
