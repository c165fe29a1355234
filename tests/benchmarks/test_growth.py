"""Exponents, and the data set that is opened to find them."""

import numpy as np
import pytest
from growth import AXES, BY_NAME, Point, fit, prepare, table, verdicts
from side_by_side.pictures import write_coco

VALUES = (10, 100, 1000)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_is_found(exponent):
    growth = fit(VALUES, [3 * value**exponent for value in VALUES])
    assert growth.exponent == pytest.approx(exponent)
    assert growth.worse_than_linear == (exponent > 1.1)


def test_a_fixed_part_does_not_hide_what_grows():
    """Quadratic above a large constant: flat over all, steep at the end."""
    growth = fit(VALUES, [1e4 + value**2 for value in VALUES])
    assert growth.exponent < 1.1
    assert growth.last > 1.7
    assert growth.worse_than_linear


def test_linear_above_a_constant_is_not_worse():
    assert not fit(VALUES, [50 + value for value in VALUES]).worse_than_linear


def test_verdicts_name_what_is_worse():
    points = [Point(value, float(value) ** 2, 5.0) for value in VALUES]
    seconds, memory = verdicts(BY_NAME["objects"], points)
    assert seconds.endswith("exponent 2.00, at the end 2.00: WORSE THAN LINEAR")
    assert memory.endswith(": not worse than linear")


def test_rows_of_the_page():
    points = [Point(value, float(value), float(value)) for value in VALUES]
    [row] = table({BY_NAME["objects"]: points})
    assert row == (
        "| training step | objects in the image (`objects`) | 10 to 1,000 | 10 to 1e+03 s "
        "| 1.00 / 1.00 | 10 to 1000 MiB | 1.00 / 1.00 |"
    )


def test_the_written_set_opens(tmp_path):
    write_coco(tmp_path, 100)
    from paddlex_maskrcnn.data.datasets import CocoDetection

    data = CocoDetection(tmp_path / "images", tmp_path / "instances.json", num_workers=0)
    assert data.num_samples == 100 // 7
    assert sum(len(one["annotations"]) for one in data.records) == 100


@pytest.mark.parametrize("name", ["annotations", "detections", "crowding"])
def test_work_off_the_network_runs(name, tmp_path):
    axis = BY_NAME[name]
    prepare(axis, axis.quick[0], tmp_path, quick=True)()


def test_axes_grow():
    assert len(BY_NAME) == len(AXES)
    assert all((np.diff(axis.values) > 0).all() and len(axis.values) > 2 for axis in AXES)
