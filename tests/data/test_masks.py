"""Run-length masks are checked; their polygons are exact; bridges do not show."""

import re
import time

import numpy as np
import pycocotools.mask as mask_util
import pytest

from paddlex_maskrcnn.data.masks import bridged, checked_rle, polygons_of_rle


def random_masks():
    rng = np.random.default_rng(0)
    yield np.zeros((5, 7), np.uint8)
    yield np.ones((5, 7), np.uint8)
    for _ in range(40):
        height, width = rng.integers(1, 60, 2)
        coarse = rng.random((height // 8 + 1, width // 8 + 1)) < 0.5
        yield np.kron(coarse, np.ones((8, 8)))[:height, :width].astype(np.uint8)
        yield (rng.random((height, width)) < rng.random()).astype(np.uint8)
    yield np.pad(np.ones((1, 1), np.uint8), ((1500, 1500), (1500, 1500)))  # runs of several groups


def test_valid_masks_pass_unchanged_in_every_form():
    for mask in random_masks():
        size = list(mask.shape)
        encoded = mask_util.encode(np.asfortranarray(mask))
        text = encoded["counts"].decode()
        flat = mask.T.reshape(-1)
        edges = np.flatnonzero(np.diff(flat)) + 1
        runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
        runs = [0, *runs] if flat[0] else runs
        for counts in (encoded["counts"], text, runs):
            checked = checked_rle({"size": size, "counts": counts}, *size)
            assert checked == {"size": size, "counts": text}
            np.testing.assert_array_equal(mask_util.decode(checked), mask)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ({"size": [4, 5], "counts": [20]}, r"size is \[4, 5\], the image is \[5, 4\]"),
        ({"counts": [20]}, "size is None"),
        ({"size": [5, 4]}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": ""}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": "\x01"}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": "é"}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": "oooo"}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": "o" * 30 + "0"}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": [10, -1, 11]}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": [10.5, 9.5]}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": [[20]]}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": [10, "a"]}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": [10, [1]]}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": [*[2**62] * 4, 20]}, "counts cover 18446744073709551636 "),
        ({"size": [5, 4], "counts": [2**70]}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": 20}, "counts are not run lengths"),
        ({"size": [5, 4], "counts": [10, 5]}, "counts cover 15 pixels, the image has 20"),
        ({"size": [5, 4], "counts": [10, 11]}, "counts cover 21 pixels"),
        ({"size": [5, 4], "counts": "04"}, "counts cover 4 pixels"),
    ],
)
def test_masks_that_pycocotools_would_misread(segmentation, reason):
    found = checked_rle(segmentation, 5, 4)
    assert isinstance(found, str)
    assert re.search(reason, found), found


def drawn(polygons, height, width):
    flat = [np.asarray(points).reshape(-1).tolist() for points in polygons]
    return mask_util.decode(mask_util.merge(mask_util.frPyObjects(flat, height, width)))


def random_mask(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 14, 2)) < rng.choice([0.2, 0.5, 0.8])
    mask.flat[rng.integers(mask.size)] = True
    return mask.astype(np.uint8)


@pytest.mark.parametrize("seed", range(100))
def test_drawn_again_they_are_the_mask_at_any_scale(seed):
    """Random pixels: every kind of corner, hole, part and diagonal touch."""
    mask = random_mask(seed)
    polygons = polygons_of_rle(mask_util.encode(np.asfortranarray(mask)))
    for scale in (1, 3):
        expected = np.kron(mask, np.ones((scale, scale), np.uint8))
        found = drawn([scale * points for points in polygons], *expected.shape)
        np.testing.assert_array_equal(found, expected)


def test_a_solid_part_is_a_polygon_of_its_corners():
    mask = np.zeros((6, 9), np.uint8)
    mask[1:4, 2:5] = mask[4:6, 7:9] = 1
    first, second = polygons_of_rle(mask_util.encode(np.asfortranarray(mask)))
    assert sorted(first.tolist()) == [[2, 1], [2, 4], [5, 1], [5, 4]]
    assert sorted(second.tolist()) == [[7, 4], [7, 6], [9, 4], [9, 6]]


def test_a_mask_without_pixels_has_no_polygon():
    assert polygons_of_rle(mask_util.encode(np.zeros((4, 5), np.uint8, order="F"))) == []


def test_uncompressed_runs():
    (points,) = polygons_of_rle({"size": [4, 5], "counts": [4, 4, 12]})
    assert sorted(points.tolist()) == [[1, 0], [1, 4], [2, 0], [2, 4]]


def test_bridges_between_polygons_with_fractions_do_not_show():
    rng = np.random.default_rng(0)
    for _ in range(50):
        parts = [
            rng.uniform(0, 15, (3, 2)) + offset for offset in ([0, 0], [20, 0], [0, 20], [20, 20])
        ]
        np.testing.assert_array_equal(drawn([bridged(parts)], 36, 36), drawn(parts, 36, 36))


def test_thousands_of_specks_and_holes_take_no_longer_than_their_corners_ask_for():
    """Looking for the nearest of all corners took 11 s for a tenth of these."""
    mask = (np.random.default_rng(0).random((120, 120)) < 0.7).astype(np.uint8)
    start = time.process_time()
    polygons = polygons_of_rle(mask_util.encode(np.asfortranarray(mask)))
    assert time.process_time() - start < 3
    np.testing.assert_array_equal(drawn(polygons, 120, 120), mask)
