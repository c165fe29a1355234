"""Objects checked many at a time: never another answer than the check one by one."""

import copy
import random

import pytest

from paddlex_maskrcnn.data.datasets.annotations import (
    AnnotationChecker,
    ImageFrame,
    RawAnnotation,
    in_good_order,
)
from paddlex_maskrcnn.data.datasets.problems import Problems

FRAME = ImageFrame(48, 64)
GOOD = {
    "segmentation": [[4, 4, 24.5, 4, 24.5, 30, 4, 30], [30.0, 10.0, 44.0, 10.0, 44.0, 24.0]],
    "bbox": [4, 4, 40.0, 26],
    "area": 700.5,
}
ODD = [
    None, True, "7", float("nan"), float("inf"), -5, 0, 1e300, 10**400, -(2**70), 63.9, 64, 64.5,
    200, 1e-320, [], [1, 2], {}, "text", -0.0, 1e15,
]  # fmt: skip


def spoiled(seed):
    """One number, polygon or field replaced by something odd."""
    rng = random.Random(seed)
    one = copy.deepcopy(GOOD)
    field = rng.choice(list(one))
    value = rng.choice(ODD)
    if field == "area" or rng.random() < 0.1:
        one[field] = value
    elif field == "bbox":
        one["bbox"][rng.randrange(4)] = value
    else:
        polygon = rng.choice(one["segmentation"])
        choice = rng.randrange(4)
        if choice == 0:
            one["segmentation"][0] = value
        elif choice == 1:
            del polygon[rng.randrange(len(polygon)) :]
        elif choice == 2:
            polygon[:] = [rng.choice([-300, 500, 70, -70]) + number for number in polygon]
        else:
            polygon[rng.randrange(len(polygon))] = value
    return one


def raw(one):
    return RawAnnotation("here", 0, one["segmentation"], one["bbox"], one["area"])


def is_fine(ones):
    columns = ([one[key] for one in ones] for key in ("segmentation", "bbox", "area"))
    return in_good_order(*columns, [(FRAME.height, FRAME.width)] * len(ones))


def test_good_objects_are_fine_and_none_is_too():
    assert is_fine([GOOD] * 3) == [True] * 3
    assert is_fine([]) == []


@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_what_is_fine_at_once_is_fine_one_by_one(start):
    """And comes out as it went in, to the last bit."""
    seen = 0
    for seed in range(start, start + 100):
        one = spoiled(seed)
        problems = Problems("test")
        (answer,) = is_fine([one])
        expected = AnnotationChecker(problems).check(raw(copy.deepcopy(one)), FRAME)
        if answer:
            seen += 1
            assert not problems.occurrences
            assert not problems.repaired
            assert expected["bbox"] == one["bbox"]
            assert expected["segmentation"] == one["segmentation"]
            assert expected["area"] == one["area"]
        else:
            assert one != GOOD
    assert seen < 60


def test_one_odd_object_does_not_spoil_the_others():
    """Numbers that are none make the whole block go one by one; faults of size do not."""
    outside = {**GOOD, "bbox": [4, 4, 400, 26]}
    assert is_fine([GOOD, outside, GOOD]) == [True, False, True]
    mixed = [GOOD, spoiled(3), outside, GOOD]
    for ones in (
        mixed,
        [GOOD, {**GOOD, "area": True}, GOOD],
        [GOOD, {**GOOD, "bbox": [1, "2", 3, 4]}],
    ):
        together, apart = Problems("test"), Problems("test")
        checker = AnnotationChecker(apart)
        expected = [checker.check(raw(one), FRAME) for one in ones]
        found = AnnotationChecker(together).check_all(
            [raw(one) for one in ones], [FRAME] * len(ones)
        )
        assert found == expected
        assert together.occurrences == apart.occurrences
        assert together.repaired == apart.repaired


def test_missing_crowd_area_and_box_are_worked_out(tiny_coco, caplog):
    for key in ("iscrowd", "area", "bbox"):
        del tiny_coco.annotation(11)[key]
    tiny_coco.save()
    annotation = tiny_coco.open().records[0]["annotations"][0]
    assert annotation["bbox"] == [4, 4, 20, 26]
    assert annotation["area"] == 20 * 26
    assert annotation["iscrowd"] == 0
    assert "1 x annotation without bbox, taken from its mask: annotation 11" in caplog.text


def test_box_over_the_border_is_cut_and_noted_beyond_one_pixel(tiny_coco, caplog):
    tiny_coco.annotation(11)["bbox"] = [-0.5, 4, 20, 26]
    tiny_coco.annotation(12)["bbox"] = [50, 30, 40.5, 60]
    tiny_coco.save()
    first, second = tiny_coco.open().records[0]["annotations"]
    assert first["bbox"] == [0, 4, 19.5, 26]
    assert second["bbox"] == [50, 30, 14, 18]
    assert "1 x box partly outside the image, cut at its border: annotation 12" in caplog.text
    assert "annotation 11" not in caplog.text
