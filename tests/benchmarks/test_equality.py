"""The check that both did the same work, on made-up losses and detections."""

import numpy as np
import pytest
from side_by_side.equality import check_detections, check_losses

LOSSES = {"loss_cls": 1.5, "loss_mask": 0.5}


def detections(**changes):
    masks = np.zeros((2, 8, 8), bool)
    masks[:, 2:6, 2:6] = True
    found = {
        "boxes": np.array([[0, 0, 4, 4], [2, 2, 6, 6]], float),
        "scores": np.array([0.9, 0.4]),
        "classes": np.array([3, 1]),
        "masks": masks,
    }
    return [{**found, **changes}]


def test_equal_losses():
    found = check_losses("x", LOSSES, dict(LOSSES))
    assert found.passed
    assert found.found == "2 losses equal bit for bit"


@pytest.mark.parametrize(
    ("theirs", "passed"),
    [
        ({"loss_cls": 1.5 + 1e-6, "loss_mask": 0.5}, True),
        ({"loss_cls": 1.5, "loss_mask": 0.51}, False),
        ({"loss_cls": float("nan"), "loss_mask": 0.5}, False),
        ({"loss_cls": 1.5}, False),
        ({**LOSSES, "loss_rpn_cls": 0.1}, False),
    ],
    ids=["rounding", "another loss", "not a number", "one missing", "one more"],
)
def test_losses(theirs, passed):
    found = check_losses("x", LOSSES, theirs)
    assert found.passed == passed
    assert "bit for bit" not in found.found


def test_what_is_defined_otherwise_is_shown_and_not_judged():
    found = check_losses("x", LOSSES, {**LOSSES, "loss_mask": 1.0}, leave_out=["loss_mask"])
    assert found.passed
    assert "defined otherwise: loss_mask by 0.5" in found.found


def test_equal_detections():
    found = check_detections("x", detections(), detections())
    assert found.passed
    assert found.found == "2 detections equal bit for bit"


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({"scores": np.array([0.9, 0.4 + 1e-5])}, True),
        ({"scores": np.array([0.9, 0.41])}, False),
        ({"boxes": np.array([[0, 0, 4, 5], [2, 2, 6, 6]])}, False),
        ({"classes": np.array([2, 1])}, False),
        ({"masks": np.ones((2, 8, 8), bool)}, False),
    ],
    ids=["rounding", "score", "box", "class", "mask"],
)
def test_detections(changes, passed):
    assert check_detections("x", detections(), detections(**changes)).passed == passed


def reordered(**changes):
    return [{key: value[::-1] for key, value in detections(**changes)[0].items()}]


def test_the_order_may_differ():
    """Scores that round differently change places."""
    assert check_detections("x", detections(), reordered()).passed


@pytest.mark.parametrize(("place", "passed"), [(1, True), (0, False)], ids=["last", "best"])
def test_one_without_counterpart(place, passed):
    """The last one may be missing, as it is where the list ends; one in the midst may not."""
    one = {key: np.delete(value, place, axis=0) for key, value in detections()[0].items()}
    found = check_detections("x", detections(), [one])
    assert found.passed == passed
    assert "1 without counterpart" in found.found


def test_nothing_found_proves_nothing():
    none = {key: value[:0] for key, value in detections()[0].items()}
    assert not check_detections("x", [none], [none]).passed
