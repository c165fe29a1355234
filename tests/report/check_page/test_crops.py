"""Pictures of images, objects and copies."""

import cv2
import numpy as np

from paddlex_maskrcnn.report.check_page import page


def test_an_object_is_in_the_middle_of_its_picture(parts):
    """tiny.png: a strip 3 pixels wide and 40 high, cut out with a margin of 24."""
    dataset = parts[0].dataset
    record = next(r for r in dataset.records if r["file_name"].endswith("tiny.png"))
    assert page._around(record, record["annotations"]) == (0, 0, 47, 72)
    picture = page.object_picture(record, dataset.labels, [0])
    assert picture.shape == (320, round(320 * 47 / 72), 3)


def test_copies_stand_side_by_side(parts):
    records = list(parts[0].dataset.records)[:2]
    picture = page.side_by_side(records, side=96)
    assert picture.shape == (72, 96 + 6 + 96, 3)
    np.testing.assert_array_equal(picture[:, :96], cv2.imread(records[0]["file_name"]))
    np.testing.assert_array_equal(picture[:, 102:], cv2.imread(records[1]["file_name"]))


def test_files_that_are_gone_have_no_picture():
    record = {"file_name": "gone.png", "height": 4, "width": 4, "annotations": []}
    assert page.whole_picture(record, []) is None
    assert page.side_by_side([record]) is None
