import copy

import numpy as np
import pycocotools.mask as mask_util
import pytest
from detectron2.data import transforms as d2
from detectron2.structures import BitMasks, BoxMode, PolygonMasks

from paddlex_maskrcnn.data.targets import to_instances as pack
from paddlex_maskrcnn.data.transforms.frames import Crop, Pad
from paddlex_maskrcnn.data.transforms.resize import OpenCVResize
from paddlex_maskrcnn.data.transforms.rotate import Rotation
from paddlex_maskrcnn.data.transforms.scene import Layer

SIZE = (60, 80)
BLOB = [20.0, 10.0, 60.0, 15.0, 50.0, 45.0, 25.0, 50.0]


def to_instances(annotations, applied, size):
    outlines = Layer(annotations, applied.transforms).outlines(size)
    return pack([outline for _, outline in outlines], size)


def polygon(points=None, **other):
    points = points or [BLOB]
    corners = np.concatenate([np.reshape(p, (-1, 2)) for p in points])
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = [*low, *(high - low)]
    one = {"bbox": box, "bbox_mode": BoxMode.XYWH_ABS, "segmentation": points}
    return {**one, "category_id": 2, "iscrowd": 0, **other}


def raster(points=None, size=SIZE):
    return mask_util.decode(mask_util.merge(mask_util.frPyObjects(points or [BLOB], *size)))


def rle(mask, **other):
    encoded = mask_util.encode(np.asfortranarray(mask))
    return polygon(**{"bbox": mask_util.toBbox(encoded).tolist(), "segmentation": encoded, **other})


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def after(size, *transforms):
    return d2.TransformList(list(transforms)), size


CHANGES = {
    "nothing": after(SIZE, d2.NoOpTransform()),
    "flip": after(SIZE, d2.HFlipTransform(80)),
    "larger": after((120, 160), OpenCVResize(60, 80, 120, 160)),
    "flip and smaller": after((45, 60), d2.HFlipTransform(80), OpenCVResize(60, 80, 45, 60)),
    "vertical flip": after(SIZE, d2.VFlipTransform(60)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_polygon_box_and_rle_follow_the_image(change):
    """The reference moves the full-size mask as a picture."""
    applied, size = CHANGES[change]
    expected = applied.apply_image(raster() * 255) > 127
    poly = to_instances([polygon()], applied, size)
    bits = to_instances([rle(raster())], applied, size)
    assert isinstance(poly.gt_masks, PolygonMasks)
    assert isinstance(bits.gt_masks, BitMasks)
    drawn = raster([p.tolist() for p in poly.gt_masks.polygons[0]], size).astype(bool)
    assert iou(drawn, expected) > 0.94
    assert iou(bits.gt_masks.tensor[0].numpy(), expected) > 0.97
    ys, xs = np.nonzero(expected)
    tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    for instances in (poly, bits):
        assert np.abs(instances.gt_boxes.tensor[0].numpy() - tight).max() <= 2
        assert instances.gt_classes.tolist() == [2]
        assert instances.image_size == size


def test_flipping_an_rle_mask_is_exact():
    applied, size = CHANGES["flip"]
    found = to_instances([rle(raster())], applied, size)
    np.testing.assert_array_equal(found.gt_masks.tensor[0].numpy(), raster()[:, ::-1] > 0)


def test_a_polygon_among_rle_masks_becomes_bits_after_the_transforms():
    applied, size = CHANGES["larger"]
    found = to_instances([rle(raster()), polygon()], applied, size)
    assert isinstance(found.gt_masks, BitMasks)
    sharp = raster([[2 * value for value in BLOB]], size)
    np.testing.assert_array_equal(found.gt_masks.tensor[1].numpy(), sharp > 0)


def test_crowd_is_marked_and_filled():
    applied, size = CHANGES["flip"]
    crowd = rle(raster(), iscrowd=1)
    polygons = to_instances([polygon(), crowd], applied, size)
    assert isinstance(polygons.gt_masks, PolygonMasks)
    assert polygons.gt_crowd.tolist() == [False, True]
    bits = to_instances([rle(raster()), crowd], applied, size)
    assert bits.gt_crowd.tolist() == [False, True]
    x1, y1, x2, y2 = bits.gt_boxes.tensor[1].int().tolist()
    filled = np.zeros(size, bool)
    filled[y1:y2, x1:x2] = True
    np.testing.assert_array_equal(bits.gt_masks.tensor[1].numpy(), filled)
    drawn = raster([polygons.gt_masks.polygons[1][0].tolist()], size).astype(bool)
    np.testing.assert_array_equal(drawn, filled)


def test_without_crowd_the_field_is_absent():
    assert not to_instances([polygon()], *CHANGES["nothing"]).has("gt_crowd")


def test_an_image_without_objects_has_every_field():
    found = to_instances([], *CHANGES["flip"])
    assert len(found) == 0
    assert found.gt_boxes.tensor.shape == (0, 4)
    assert found.gt_classes.shape == (0,)
    assert len(found.gt_masks) == 0
    assert not found.has("gt_crowd")


@pytest.mark.parametrize("form", [polygon, lambda: rle(raster())])
def test_cutting_the_image_tightens_boxes_and_drops_what_left(form):
    x0, y0, w, h = 40, 0, 40, 60
    applied = d2.TransformList([Crop(x0, y0, w, h)])
    far = polygon([[1.0, 1.0, 8.0, 1.0, 8.0, 8.0]])
    found = to_instances([far, form()], applied, (h, w))
    assert len(found) == 1
    ys, xs = np.nonzero(raster()[:, 40:])
    tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert np.abs(found.gt_boxes.tensor[0].numpy() - tight).max() <= 1


def test_flip_and_resize_keep_the_annotated_box():
    """The box need not be the mask's; only cutting replaces it."""
    loose = polygon(bbox=[10.0, 5.0, 60.0, 50.0])
    applied, size = CHANGES["flip and smaller"]
    box = to_instances([loose], applied, size).gt_boxes.tensor[0].tolist()
    np.testing.assert_allclose(box, [7.5, 3.75, 52.5, 41.25])


def test_annotations_are_not_changed():
    one = polygon()
    before = copy.deepcopy(one)
    to_instances([one], *CHANGES["flip and smaller"])
    assert one == before


def test_what_shrinks_to_nothing_is_dropped():
    dot = np.zeros(SIZE, np.uint8)
    dot[30, 30] = 1
    applied, size = after((6, 8), OpenCVResize(60, 80, 6, 8))
    assert len(to_instances([rle(dot)], applied, size)) == 0


@pytest.mark.parametrize("form", [polygon, lambda: rle(raster())])
def test_an_object_that_is_not_cut_keeps_its_annotated_box(form):
    loose = {**form(), "bbox": [18.5, 8.0, 45.0, 44.0]}
    applied, size = after((55, 70), Crop(5, 5, 70, 55))
    box = to_instances([loose], applied, size).gt_boxes.tensor[0].tolist()
    assert box == [13.5, 3, 58.5, 47]


def test_what_was_cut_off_does_not_come_back_on_a_larger_ground():
    cut = Crop(40, 0, 40, 60)
    applied, size = after((80, 100), cut, Pad((60, 40), (80, 100), (10, 30), [0]))
    found = to_instances([polygon(), polygon(iscrowd=1)], applied, size)
    drawn = raster([p.tolist() for p in found.gt_masks.polygons[0]], size) > 0
    expected = np.zeros(size, bool)
    expected[10:70, 30:70] = raster()[:, 40:]
    assert iou(drawn, expected) > 0.95
    assert found.gt_boxes.tensor[1].tolist() == [30, 20, 50, 60]  # the crowd's box was cut too


OVER_THE_BORDER = [[-10.0, 5.0, 20.0, 5.0, 20.0, 25.0, -10.0, 25.0]]


def test_a_polygon_that_sticks_out_of_its_picture_is_cut_before_it_turns():
    """Tools let people draw over the border; a corner of the turned image must not show it."""
    over = polygon(OVER_THE_BORDER, bbox=[0, 5, 20, 20])
    turn = Rotation(*SIZE, 30, True, [0])
    size = int(turn.bound_h), int(turn.bound_w)
    found = to_instances([over], *after(size, turn))
    drawn = raster([p.tolist() for p in found.gt_masks.polygons[0]], size) > 0
    inside = turn.apply_segmentation(np.ones(SIZE, bool))
    assert (drawn & ~inside).sum() <= 12
    assert abs(int(drawn.sum()) - 400) < 20


def test_the_box_of_a_cut_polygon_is_that_of_its_pixels():
    """This one runs around a corner of the part: cut, it has points there, but no area."""
    around = [
        0.0,
        20.0,
        35.0,
        20.0,
        35.0,
        25.0,
        5.0,
        25.0,
        5.0,
        50.0,
        25.0,
        50.0,
        25.0,
        55.0,
        0.0,
        55.0,
    ]
    applied, size = after((30, 60), Crop(20, 30, 60, 30))
    box = to_instances([polygon([around])], applied, size).gt_boxes.tensor[0].tolist()
    assert box == [0, 20, 5, 25]


def test_a_polygon_that_sticks_out_of_its_picture_is_cut_before_a_larger_ground():
    over = polygon(OVER_THE_BORDER, bbox=[0, 5, 20, 20])
    applied, size = after((80, 100), Pad(SIZE, (80, 100), (10, 15), [0]))
    found = to_instances([over], applied, size)
    drawn = raster([p.tolist() for p in found.gt_masks.polygons[0]], size)
    assert drawn[:, :15].sum() == 0
    assert drawn.sum() == 400


def test_a_polygon_too_small_to_be_drawn_among_bit_masks_is_dropped():
    sliver = polygon([[5.1, 5.1, 5.3, 5.1, 5.3, 5.3]])
    assert len(to_instances([sliver], *CHANGES["nothing"])) == 1
    found = to_instances([sliver, rle(raster())], *CHANGES["nothing"])
    assert len(found) == len(found.gt_masks) == 1
    assert found.gt_masks.tensor.any()
