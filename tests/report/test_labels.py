"""Texts on pictures stay inside, apart and readable."""

import numpy as np
import pytest

from paddlex_maskrcnn.report.pictures import Label, draw_labels, visualize
from support.grey_picture import GREY, changed, thing


@pytest.mark.parametrize(
    "box", [(0, 0, 160, 120), (0, 0, 3, 3), (157, 117, 3, 3), (150, 0, 10, 120)]
)
def test_labels_stay_inside_the_picture(box):
    """A label leaves its trace inside; drawing at the border must not fail either."""
    label = Label("a rather long name 0.50", box, (255, 255, 255))
    picture = draw_labels(np.zeros((120, 300, 3), np.uint8), [label])
    columns = np.flatnonzero(picture.any(axis=(0, 2)))
    rows = np.flatnonzero(picture.any(axis=(1, 2)))
    assert len(rows) == 15
    assert len(columns) > 80


def test_labels_avoid_each_other():
    same = [Label("name", (20, 40, 50, 30), color) for color in ((255, 0, 0), (0, 0, 255))]
    picture = draw_labels(np.zeros((120, 160, 3), np.uint8), same)
    blue, red = (
        np.flatnonzero((picture == c).all(axis=2).any(axis=1)) for c in ((255, 0, 0), (0, 0, 255))
    )
    assert len(blue)
    assert len(red)
    assert not set(blue) & set(red)


@pytest.mark.parametrize(("ground", "text"), [((255, 255, 255), 0), ((90, 0, 0), 255)])
def test_text_stands_out_from_its_ground(ground, text):
    label = Label("HHHH", (0, 50, 100, 20), ground)
    picture = draw_labels(np.full((120, 160, 3), 128, np.uint8), [label])
    assert (np.abs(picture.astype(int) - text).max(axis=2) < 60).sum() > 20


def test_names_of_any_script_are_drawn():
    assert changed(visualize(GREY, [thing(category="椰枣")], save_dir=None)).any()
