import numpy as np
import pycocotools.mask as mask_util
import pytest
from detectron2.data import transforms as d2
from detectron2.structures import BitMasks, BoxMode, PolygonMasks

from paddlex_maskrcnn.data.targets import to_instances
from paddlex_maskrcnn.data.transforms.resize import OpenCVResize

SIZE = (60, 80)
BLOB = [20.0, 10.0, 60.0, 15.0, 50.0, 45.0, 25.0, 50.0]


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
    applied = d2.TransformList([d2.CropTransform(x0, y0, w, h)])
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
    import copy

    one = polygon()
    before = copy.deepcopy(one)
    to_instances([one], *CHANGES["flip and smaller"])
    assert one == before


def test_what_shrinks_to_nothing_is_dropped():
    dot = np.zeros(SIZE, np.uint8)
    dot[30, 30] = 1
    applied, size = after((6, 8), OpenCVResize(60, 80, 6, 8))
    assert len(to_instances([rle(dot)], applied, size)) == 0
