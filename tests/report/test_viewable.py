"""Any depth and any number of channels can be looked at."""

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.report.viewable import read_viewable

COLORS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)  # BGR


def test_eight_bits_stay_as_they_are(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), COLORS)
    np.testing.assert_array_equal(read_viewable(tmp_path / "a.png"), COLORS)


def test_twelve_bits_in_a_file_for_sixteen_are_not_black(tmp_path):
    ramp = np.linspace(100, 4095, 54).astype(np.uint16).reshape(6, 9)
    cv2.imwrite(str(tmp_path / "a.tiff"), ramp)
    found = read_viewable(tmp_path / "a.tiff")
    assert found.shape == (6, 9, 3)
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize(("channels", "shown"), [(1, [0] * 3), (2, [0] * 3), (6, [2, 1, 0])])
def test_of_many_channels_the_first_ones_are_shown(tmp_path, channels, shown):
    """Arrays have red first, pictures to be written have blue first."""
    array = np.random.default_rng(1).integers(0, 256, (6, 9, channels), np.uint8)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_viewable(tmp_path / "a.npy"), array[:, :, shown])


def test_values_that_are_no_numbers_do_not_spoil_the_rest(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0.5, np.nan], [np.inf, 1.0]]))
    assert read_viewable(tmp_path / "a.npy")[:, :, 0].tolist() == [[128, 0], [0, 255]]
