import re

import numpy as np
import pycocotools.mask as mask_util
import pytest

from paddlex_maskrcnn.data.masks import checked_rle


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
