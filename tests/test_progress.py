"""Bars in a terminal, a line now and then elsewhere."""

import io
import logging
import sys

import pytest

from paddlex_maskrcnn import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """25 seconds pass from one look at the clock to the next: 75 before the third item."""
    now = [0.0]

    def monotonic():
        now[0] += 25.0
        return now[0]

    monkeypatch.setattr(progress.time, "monotonic", monotonic)


@pytest.mark.usefixtures("clock")
def test_a_line_a_minute_where_there_is_no_terminal(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO, logger="paddlex_maskrcnn"):
        assert list(progress.shown(range(10), 10, "evaluating")) == list(range(10))
    assert [record.getMessage() for record in caplog.records] == [
        "evaluating: 2 of 10 images, 0:05:00 left",
        "evaluating: 5 of 10 images, 0:02:30 left",
        "evaluating: 8 of 10 images, 0:00:56 left",
    ]


def test_a_bar_in_a_terminal(monkeypatch, caplog):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with caplog.at_level(logging.INFO, logger="paddlex_maskrcnn"):
        assert list(progress.shown("abc", 3, "writing")) == ["a", "b", "c"]
    assert "writing" in screen.getvalue()
    assert caplog.text == ""


@pytest.mark.parametrize("visible", [True, False])
def test_a_bar_moved_by_hand(visible, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.bar(3, "predicting", visible=visible) as moved:
        moved.update(2)
    assert ("predicting" in screen.getvalue()) == visible


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (36061, "10:01:01")]
)
def test_as_clock(seconds, text):
    assert progress.as_clock(seconds) == text
