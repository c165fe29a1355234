"""What operators do to sizes, and boxes as the network sees them."""

import numpy as np
import pytest

from paddlex_maskrcnn.data.check.plan import AnchorSet, Plan, resized_boxes, resizing_of
from paddlex_maskrcnn.data.check.scan import scan
from paddlex_maskrcnn.data.transforms import (
    Compose,
    RandomHorizontalFlip,
    Resize,
    ResizeByShort,
)

ANCHORS = AnchorSet((8, 16, 32, 64, 128), (0.5, 1, 2))


@pytest.mark.parametrize(
    ("operators", "expected", "words"),
    [
        ([RandomHorizontalFlip()], (60, 80), "not resized"),
        ([Resize(40)], (40, 40), "Resize"),
        ([ResizeByShort(120, 1000)], (120, 160), "ResizeByShort"),
        # prediction takes the largest of several sizes
        ([ResizeByShort([30, 90], 1000)], (90, 120), "short_size=90"),
        ([ResizeByShort(120, 100)], (75, 100), "max_size=100"),
        ([Resize(40), ResizeByShort(20, 1000)], (20, 20), ", then ResizeByShort"),
    ],
)
def test_sizes_follow_the_operators(operators, expected, words):
    resizing, new_size = resizing_of(Compose(operators))
    assert new_size(60, 80) == expected
    assert words in resizing


def test_without_operators_nothing_is_resized():
    words, new_size = resizing_of(None)
    assert words == "not resized"
    assert new_size(60, 80) == (60, 80)


def test_boxes_grow_with_their_image(tiny_coco):
    """Three times as high, twice as wide; crowd regions are left out."""
    scanned = scan(tiny_coco.open(), "data", num_workers=0)
    plan = Plan("", lambda height, width: (3 * height, 2 * width), ANCHORS)
    resized, rows = resized_boxes(scanned, plan)
    assert scanned.objects.is_crowd.any()
    np.testing.assert_array_equal(rows, np.flatnonzero(~scanned.objects.is_crowd))
    np.testing.assert_allclose(resized.boxes, scanned.objects.box[rows] * (2, 3, 2, 3))
    sizes = np.array(scanned.sizes)[scanned.objects.image[rows]]
    np.testing.assert_array_equal(resized.frames, sizes * (3, 2))


def test_anchors_have_the_area_of_their_size_and_the_shape_of_their_ratio():
    shapes = ANCHORS.shapes()
    assert shapes.shape == (5, 3, 2)
    np.testing.assert_allclose(shapes.prod(axis=-1), np.square(ANCHORS.sizes)[:, None] * np.ones(3))
    np.testing.assert_allclose(shapes[..., 1] / shapes[..., 0], [ANCHORS.ratios] * 5)
    assert ANCHORS.strides.tolist() == [4, 8, 16, 32, 64]
    assert AnchorSet((32, 64), (1,), with_fpn=False).strides.tolist() == [16, 16]
