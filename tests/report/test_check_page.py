import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.data.check.anchors import AnchorSet
from paddlex_maskrcnn.data.check.collecting import open_part
from paddlex_maskrcnn.data.check.inspection import inspect
from paddlex_maskrcnn.data.check.plan import Plan
from paddlex_maskrcnn.data.check.statistics import Histogram
from paddlex_maskrcnn.data.datasets import CocoDetection
from paddlex_maskrcnn.report.check_page import crops
from paddlex_maskrcnn.report.check_page.charts import histogram
from paddlex_maskrcnn.report.check_page.page import as_page
from paddlex_maskrcnn.report.check_page.text import as_text, table
from support.flawed_coco import FlawedCoco

PLAN = Plan("as it is", lambda h, w: (h, w), AnchorSet((8, 16, 32, 64, 128), (0.5, 1, 2)), 5)


class Reader(HTMLParser):
    """Checks that tags are balanced, and keeps addresses and texts."""

    VOID = ("meta", "img", "path", "rect", "br")

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.texts = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        self.addresses += [v for k, v in attributes if k in ("src", "href")]

    def handle_startendtag(self, tag, attributes):
        assert tag in self.VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    flawed = FlawedCoco(tmp_path_factory.mktemp("flawed <&> data"))
    return [
        open_part(name, lambda part=part: CocoDetection(flawed.data_dir, flawed.files[part]))
        for name, part in (("train", "train"), ("eval", "val"))
    ]


@pytest.fixture(scope="module")
def found(parts):
    return inspect(parts, PLAN, num_workers=0)


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
    with_places = sum(any(place.part for place in one.places) for one in found.findings)
    assert len(pictures) > with_places + 10  # the samples
    for address in pictures:
        data = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR).size


def test_the_same_seed_shows_the_same_samples(found, parts, page):
    assert as_page(found, parts) == page
    assert as_page(found, parts, seed=1) != page


def test_an_object_is_in_the_middle_of_its_picture(parts):
    """tiny.png: a strip 3 pixels wide and 40 high, cut out with a margin of 24."""
    dataset = parts[0].dataset
    record = next(r for r in dataset.records if r["file_name"].endswith("tiny.png"))
    assert crops._around(record, record["annotations"]) == (0, 0, 47, 72)
    picture = crops.object_picture(record, dataset.labels, [0])
    assert picture.shape == (320, round(320 * 47 / 72), 3)


def test_copies_stand_side_by_side(parts):
    records = list(parts[0].dataset.records)[:2]
    picture = crops.side_by_side(records, side=96)
    assert picture.shape == (72, 96 + 6 + 96, 3)
    np.testing.assert_array_equal(picture[:, :96], cv2.imread(records[0]["file_name"]))
    np.testing.assert_array_equal(picture[:, 102:], cv2.imread(records[1]["file_name"]))


def test_files_that_are_gone_have_no_picture():
    record = {"file_name": "gone.png", "height": 4, "width": 4, "annotations": []}
    assert crops.whole_picture(record, []) is None
    assert crops.side_by_side([record]) is None


def test_bars_are_as_high_as_their_share():
    shares = np.array([0.25, 0.5, 0.0, 0.25])
    drawn = histogram(Histogram("title", "unit", np.arange(5.0), {"train": shares}))
    heights = [float(one) for one in re.findall(r'<rect[^>]*height="([\d.]+)"', drawn)]
    assert np.allclose(np.array(heights) / max(heights), [0.5, 1, 0.5], atol=0.01)


def test_the_text_has_findings_first_and_aligned_tables(found):
    lines = as_text(found).splitlines()
    assert lines[0].startswith(f"{found.count('error')} errors, ")
    assert lines[4].startswith("ERROR ")
    assert table([["", "a"], ["name", "12"]]) == "         a\n  name  12"
    classes = lines[lines.index("Classes") + 1 :]
    assert len({len(line) for line in classes[: 1 + len(found.classes)]}) == 1
