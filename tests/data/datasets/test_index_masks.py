"""Masks to boxes: by number where that can be, by overlap where it cannot."""

from paddlex_maskrcnn.data.datasets.index_masks import match_by_box

A, B, C = [0, 0, 10, 10], [20, 0, 10, 10], [40, 0, 10, 10]


def test_equal_numbers():
    assert match_by_box({1: A, 2: B}, [A, B]) == {0: 1, 1: 2}
    assert match_by_box({}, [A]) == {}
    assert match_by_box({1: A}, []) == {}


def test_other_orders():
    assert match_by_box({1: B, 2: C, 3: A}, [A, B, C]) == {0: 3, 1: 1, 2: 2}


def test_what_overlaps_nothing_stays_alone():
    assert match_by_box({1: A, 2: B}, [A, C]) == {0: 1}
    assert match_by_box({5: B}, [A, B]) == {1: 5}


def test_of_two_that_fit_about_as_well_the_number_decides():
    """The void border took most of both objects; a third one tells that not all is in order."""
    near, third = [1, 0, 10, 10], [0, 20, 5, 5]
    masks = {1: [1.5, 0, 9, 10], 2: [0, 0, 9, 10], 7: third}
    assert match_by_box(masks, [A, near, third]) == {0: 1, 1: 2, 2: 7}


def test_boxes_that_are_missing_or_no_numbers():
    assert match_by_box({1: A, 2: B}, [None, B]) == {0: 1, 1: 2}
    assert match_by_box({1: A, 2: B}, [[float("nan")] * 4, B]) == {1: 2}
