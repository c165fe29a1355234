"""Pictures of objects, and of any depth and number of channels."""

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.report.pictures import class_color, comparison, read_viewable, visualize
from support.grey_picture import GREY, changed, thing

COLORS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)  # BGR


def test_draws_a_copy_where_the_object_is():
    before = GREY.copy()
    picture = visualize(GREY, [thing()], save_dir=None)
    np.testing.assert_array_equal(GREY, before)
    assert picture.dtype == np.uint8
    assert picture.shape == GREY.shape
    inside = changed(picture)[45:85, 25:75]
    assert inside.all()
    assert not changed(picture)[95:, :].any()


def test_threshold_leaves_out_what_scores_less():
    result = [thing(score=0.5), thing(box=(100, 60, 30, 30), score=0.49)]
    picture = visualize(GREY, result, threshold=0.5, save_dir=None)
    assert changed(picture)[60, 50]
    assert not changed(picture)[60:90, 105:].any()
    np.testing.assert_array_equal(visualize(GREY, [], save_dir=None), GREY)


def test_holes_stay_open():
    ring = thing(box=(40, 30, 60, 60))
    ring["mask"][50:70, 60:80] = 0
    picture = visualize(GREY, [ring], save_dir=None)
    assert not changed(picture)[54:66, 64:76].any()
    assert changed(picture)[40, 50]


def test_colour_belongs_to_the_class_whatever_else_is_in_the_picture():
    two = thing(2, (100, 60, 40, 40))
    alone = visualize(GREY, [two], save_dir=None)
    together = visualize(GREY, [thing(1, (10, 60, 40, 40)), two], save_dir=None)
    np.testing.assert_array_equal(alone[80, 120], together[80, 120])
    blend = 0.55 * 128 + 0.45 * np.array(class_color(1))
    assert np.abs(alone[80, 120] - blend).max() <= 1


def test_small_objects_are_drawn_over_large_ones():
    small, large = thing(1, (60, 60, 20, 20)), thing(2, (20, 30, 110, 80))
    pictures = [visualize(GREY, order, save_dir=None) for order in ([small, large], [large, small])]
    np.testing.assert_array_equal(*pictures)
    under = 0.55 * 128 + 0.45 * np.array(class_color(1))
    expected = 0.55 * under + 0.45 * np.array(class_color(0))
    assert np.abs(pictures[0][75, 70] - expected).max() <= 2


def test_given_colours_are_used_by_class():
    colors = [[0, 0, 255], [255, 0, 0]]
    picture = visualize(GREY, [thing(2)], save_dir=None, color=colors)
    assert np.abs(picture[65, 50].astype(float) - [185, 70, 70]).max() <= 1


@pytest.mark.parametrize(
    "color",
    [[255, 0, 0], [[1, 2]], [[1, 2, 3]], "red", [[1, 2, 300], [0, 0, 0]], [["a", 1, 2]] * 2],
)
def test_wrong_colours(color):
    with pytest.raises(ValueError, match=r"color must be a table .* \(at least 2 rows"):
        visualize(GREY, [thing(2)], save_dir=None, color=color)


def test_a_mask_of_another_image():
    one = thing()
    one["mask"] = one["mask"][:60]
    with pytest.raises(ValueError, match=r"mask has shape \(60, 160\), the image \(120, 160\)"):
        visualize(GREY, [one], save_dir=None)


def test_saves_under_the_name_of_the_image(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), GREY)
    out = tmp_path / "made" / "here"
    assert visualize(str(tmp_path / "a.png"), [thing()], save_dir=str(out)) is None
    written = cv2.imread(str(out / "visualize_a.png"))
    np.testing.assert_array_equal(written, visualize(GREY, [thing()], save_dir=None))


def test_saves_arrays_under_the_time_and_npy_as_png(tmp_path):
    visualize(GREY, [thing()], save_dir=tmp_path)
    assert [p.suffix for p in tmp_path.glob("visualize_*")] == [".jpg"]
    np.save(tmp_path / "a.npy", GREY)
    visualize(tmp_path / "a.npy", [thing()], save_dir=tmp_path)
    assert (tmp_path / "visualize_a.npy.png").is_file()


@pytest.mark.parametrize("size", [(60, 90), (700, 600)])
def test_comparison_puts_truth_left_and_predictions_right(size):
    image = np.full((*size, 3), 128, np.uint8)

    def at(x):
        one = thing(box=(x, 20, 20, 20))
        one["mask"] = np.zeros(size, np.uint8)
        one["mask"][20:40, x : x + 20] = 1
        return one

    picture = comparison(image, [at(10)], [at(10), at(60)])
    assert picture.dtype == np.uint8
    scale = max(1, 512 / max(size))
    width, height = round(size[1] * scale), round(size[0] * scale)
    assert picture.shape[1] == 2 * width + 8
    top = picture.shape[0] - height
    assert top > 10
    y = top + round(30 * scale)
    for x, left, right in [(20, True, True), (70, False, True)]:
        column = round(x * scale)
        assert (picture[y, column] != 128).any() == left
        assert (picture[y, column + width + 8] != 128).any() == right


def test_comparison_of_nothing():
    picture = comparison(np.zeros((50, 50, 3), np.uint8), [], [])
    assert picture.shape[1] == 2 * 512 + 8


def test_neighbouring_classes_look_different():
    colors = np.array([class_color(k) for k in range(80)], float)
    assert len({tuple(c) for c in colors}) == 80
    near = np.abs(np.diff(colors, axis=0)).max(axis=1)
    assert near.min() > 60


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
