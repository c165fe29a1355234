"""Numbers and truth values: what can only be meant one way is read, all else is none."""

import pytest

from paddlex_maskrcnn.data.datasets.values import (
    integer,
    is_integer,
    is_plain_truth,
    number,
    shown,
    truth,
    without_ignored,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7, 7), ("7", 7), (" 7 ", 7), (7.0, 7), ("7.0", 7), ("-3", -3), ("007", 7), (2**62, 2**62)],
)
def test_integers(value, expected):
    assert integer(value) == expected
    assert type(integer(value)) is int


@pytest.mark.parametrize(
    "value",
    [None, True, False, 7.5, "7.5", "", "seven", "7_0", "1e3", [7], {}, float("nan"), float("inf"), 1e300,
     10**30, "9" * 5000, "\u0667"],
)  # fmt: skip
def test_no_integers(value):
    assert integer(value) is None
    assert not is_integer(value)


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 1), ("1.5", 1.5), ("-.5e1", -5), (10**40, 1e40)]
)
def test_numbers(value, expected):
    assert number(value) == expected


@pytest.mark.parametrize(
    "value", [None, True, "", "nan", "1_0", "1,5", float("inf"), 10**400, [1], "1" * 5000, "1e999"]
)
def test_no_numbers(value):
    assert number(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, False), (1, True), (False, False), (True, True), ("0", False), ("1", True), ("false", False),
     ("TRUE", True), (0.0, False), (1.0, True), (None, False), ("", False), (" 1 ", True)],
)  # fmt: skip
def test_truths(value, expected):
    assert truth(value) is expected


@pytest.mark.parametrize("value", [2, -1, 0.5, "no", "yes", "2", [], {}, float("nan"), 10**30])
def test_no_truths(value):
    assert truth(value) is None
    assert not is_plain_truth(value)


def test_plain_truths_need_no_repair():
    assert [is_plain_truth(value) for value in (None, 0, 1, True, "0", 1.0)] == [True] * 4 + [
        False
    ] * 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", "'7' (a string)"), (True, "True (a truth value)"), (None, "missing or null"),
     ([1] * 10**6, "1000000 entries (a list)"), (10**400, "beyond 10^18 (an integer)")],
)  # fmt: skip
def test_values_in_messages(value, expected):
    assert shown(value) == expected
    assert len(shown("x" * 10**6)) < 60


def test_names_that_are_no_classes():
    assert without_ignored(["__ignore__", "cat", "_background_", "background"]) == [
        "cat",
        "background",
    ]
