"""The page of `check` is one whole file with all findings."""

import base64
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.report.check_page.page import as_page


class Reader(HTMLParser):
    """Checks that tags are balanced, and keeps addresses and texts."""

    VOID = ("meta", "img", "br")
    CLOSED_IN_SVG = ("g", "path", "rect", "use", "line")

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.texts = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        self.addresses += [v for k, v in attributes if k in ("src", "href")]

    def handle_startendtag(self, tag, attributes):
        assert tag in (*self.VOID, *self.CLOSED_IN_SVG)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(found, parts):
    return as_page(found, parts)


def test_the_page_stands_alone(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert all(one.startswith(("data:image/jpeg;base64,", "#")) for one in reader.addresses)
    assert "http" not in page
    assert "<script" not in page
    assert "@import" not in page


def test_names_of_files_are_escaped(page):
    assert "flawed &lt;&amp;&gt; data" in page
    assert "flawed <&>" not in page


def test_all_findings_are_on_the_page_with_pictures(page, found):
    reader = Reader()
    reader.feed(page)
    for one in found.findings:
        assert one.headline() in reader.texts
    pictures = [one for one in reader.addresses if one.startswith("data:")]
    with_locations = sum(any(location.part for location in one.locations) for one in found.findings)
    assert len(pictures) > with_locations + 10  # the samples
    for address in pictures:
        data = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR).size


def test_the_same_seed_shows_the_same_samples(found, parts, page):
    assert as_page(found, parts) == page
    assert as_page(found, parts, seed=1) != page


def test_there_is_a_chart_of_each_distribution(page, found):
    assert page.count("<svg") == len(found.histograms)
    for drawn in found.histograms:
        assert f"<h3>{drawn.title}</h3>" in page
    assert page.count("var(--s2)") > len(found.histograms), "bars of both parts"
