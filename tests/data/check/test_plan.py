"""What operators do to sizes, and boxes as the network sees them."""

import numpy as np
import pytest

from paddlex_maskrcnn.config.check import check_arguments
from paddlex_maskrcnn.config.operator_params import TRANSFORMS, OperatorChoice
from paddlex_maskrcnn.data.check.plan import AnchorSet, Plan, resized_boxes, resizing_of
from paddlex_maskrcnn.data.check.scan import scan
from paddlex_maskrcnn.data.transforms import Compose

ANCHORS = AnchorSet((8, 16, 32, 64, 128), (0.5, 1, 2))


def choice(name, **given):
    arguments = check_arguments(TRANSFORMS[name], given)
    return OperatorChoice(name=name, arguments=arguments, given=given)


@pytest.mark.parametrize(
    ("operators", "expected", "words"),
    [
        ([choice("RandomHorizontalFlip")], (60, 80), "not resized"),
        ([choice("Resize", target_size=40)], (40, 40), "Resize"),
        ([choice("Resize", target_size=[40, 30])], (30, 40), "Resize"),
        ([choice("ResizeByShort", short_size=120, max_size=1000)], (120, 160), "ResizeByShort"),
        # prediction takes the largest of several sizes
        ([choice("ResizeByShort", short_size=[30, 90], max_size=1000)], (90, 120), "short_size=90"),
        ([choice("ResizeByShort", short_size=120, max_size=100)], (75, 100), "max_size=100"),
        ([choice("LargeScaleJitter", target_size=[120, 100])], (90, 120), "short_size=100"),
        ([choice("ComposedRCNNTransforms", mode="train")], (800, 1067), "short_size=800"),
        (
            [
                choice("Resize", target_size=40),
                choice("ResizeByShort", short_size=20, max_size=1000),
            ],
            (20, 20),
            ", then ResizeByShort",
        ),
    ],
)
def test_sizes_follow_the_operators(operators, expected, words):
    """What the pipeline of these operators does to an image, without building it."""
    resizing, new_size = resizing_of(operators)
    assert new_size(60, 80) == expected
    assert words in resizing
    image = np.zeros((60, 80, 3), np.uint8)
    for step in Compose.from_choices(operators).deterministic().transforms:
        if hasattr(step, "get_transform"):
            image = step.get_transform(image).apply_image(image)
    assert image.shape[:2] == expected


def test_without_operators_nothing_is_resized():
    words, new_size = resizing_of([])
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
