"""Random numbers, targets and pinned copies of training samples."""

import contextlib
import copy
import pickle
import random

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from detectron2.data import transforms as d2
from detectron2.structures import BoxMode, PolygonMasks

from paddlex_maskrcnn.data.loader import build_loss_loader, build_test_loader, build_train_loader
from paddlex_maskrcnn.data.mapper import TestMapper, TrainMapper
from paddlex_maskrcnn.data.masks import polygons_of_rle
from paddlex_maskrcnn.data.samples import PinnableBatch, seeded, with_tensors
from paddlex_maskrcnn.data.samples import to_instances as pack
from paddlex_maskrcnn.data.transforms import Compose, Padding, ResizeByShort
from paddlex_maskrcnn.data.transforms.crop import Crop, Pad
from paddlex_maskrcnn.data.transforms.resize import OpenCVResize
from paddlex_maskrcnn.data.transforms.rotate import Rotation
from paddlex_maskrcnn.data.transforms.sample import Layer

PADDED = Compose([ResizeByShort(40), Padding(coarsest_stride=32)])
SIZE = (60, 80)
BLOB = [20.0, 10.0, 60.0, 15.0, 50.0, 45.0, 25.0, 50.0]


def to_instances(annotations, applied, size):
    outlines = Layer(annotations, applied.transforms).annotations(size)
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


def drawn(instances, k=0):
    """(H, W) bool: the pixels of the k-th object's target."""
    parts = [part.tolist() for part in instances.gt_masks.polygons[k]]
    return raster(parts, instances.image_size).astype(bool)


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
    assert iou(drawn(poly), expected) > 0.94
    assert iou(drawn(bits), expected) > 0.97
    ys, xs = np.nonzero(expected)
    tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    for instances in (poly, bits):
        assert isinstance(instances.gt_masks, PolygonMasks)
        assert np.abs(instances.gt_boxes.tensor[0].numpy() - tight).max() <= 2
        assert instances.gt_classes.tolist() == [2]
        assert instances.image_size == size


def test_flipping_an_rle_mask_is_exact():
    applied, size = CHANGES["flip"]
    found = to_instances([rle(raster())], applied, size)
    np.testing.assert_array_equal(drawn(found), raster()[:, ::-1] > 0)


def test_polygons_and_rle_masks_of_one_image_do_not_change_each_other():
    applied, size = CHANGES["larger"]
    found = to_instances([rle(raster()), polygon()], applied, size)
    blocks = np.kron(raster(), np.ones((2, 2), np.uint8))
    np.testing.assert_array_equal(drawn(found, 0), blocks > 0)
    np.testing.assert_allclose(found.gt_masks.polygons[1][0], 2 * np.array(BLOB))


def test_crowd_is_marked_and_filled():
    applied, size = CHANGES["flip"]
    crowd = rle(raster(), iscrowd=1)
    for form in (polygon(), rle(raster())):
        found = to_instances([form, crowd], applied, size)
        assert found.gt_crowd.tolist() == [False, True]
        x1, y1, x2, y2 = found.gt_boxes.tensor[1].int().tolist()
        filled = np.zeros(size, bool)
        filled[y1:y2, x1:x2] = True
        np.testing.assert_array_equal(drawn(found, 1), filled)


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


def test_what_shrinks_below_a_pixel_is_still_an_object():
    """As a polygon of that size would be: the mask head looks at it through its box."""
    dot = np.zeros(SIZE, np.uint8)
    dot[30, 30] = 1
    applied, size = after((6, 8), OpenCVResize(60, 80, 6, 8))
    found = to_instances([rle(dot)], applied, size)
    np.testing.assert_allclose(found.gt_boxes.tensor, [[3, 3, 3.1, 3.1]], atol=1e-6)
    assert found.gt_masks.crop_and_resize(found.gt_boxes.tensor, 28).all()


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
    expected = np.zeros(size, bool)
    expected[10:70, 30:70] = raster()[:, 40:]
    assert iou(drawn(found), expected) > 0.95
    assert found.gt_boxes.tensor[1].tolist() == [30, 20, 50, 60]  # the crowd's box was cut too


OVER_THE_BORDER = [[-10.0, 5.0, 20.0, 5.0, 20.0, 25.0, -10.0, 25.0]]


def test_a_polygon_that_sticks_out_of_its_picture_is_cut_before_it_turns():
    """Tools let people draw over the border; a corner of the turned image must not show it."""
    over = polygon(OVER_THE_BORDER, bbox=[0, 5, 20, 20])
    turn = Rotation(*SIZE, 30, True, [0])
    size = int(turn.bound_h), int(turn.bound_w)
    found = to_instances([over], *after(size, turn))
    inside = turn.apply_segmentation(np.ones(SIZE, bool))
    assert (drawn(found) & ~inside).sum() <= 12
    assert abs(int(drawn(found).sum()) - 400) < 20


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
    assert drawn(found)[:, :15].sum() == 0
    assert drawn(found).sum() == 400


def pixels(seed):
    """A mask of parts, holes and islands in holes."""
    rng = np.random.default_rng(seed)
    mask = (rng.random((12, 16)) < 0.6).astype(np.uint8).repeat(5, axis=0).repeat(5, axis=1)
    mask[20:35, 30:60] = 0
    mask[24:30, 40:50] = 1
    return mask


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("change", [*CHANGES, "cut", "cut, larger ground, smaller"])
def test_rle_and_its_outline_as_polygons_give_the_same_targets_bit_for_bit(seed, change):
    """The two forms of one object, holes and parts included: boxes, and masks as the head takes them."""
    cut = Crop(13, 7, 50, 41)
    ground = Pad((41, 50), (70, 90), (9, 20), [0])
    applied, size = {
        **CHANGES,
        "cut": after((41, 50), cut),
        "cut, larger ground, smaller": after((33, 47), cut, ground, OpenCVResize(70, 90, 33, 47)),
    }[change]
    one = rle(pixels(seed))
    outline = [points.reshape(-1).tolist() for points in polygons_of_rle(one["segmentation"])]
    other = {**one, "segmentation": outline}
    first, second = (to_instances([form], applied, size) for form in (one, other))
    assert torch.equal(first.gt_boxes.tensor, second.gt_boxes.tensor)
    boxes = first.gt_boxes.tensor + torch.tensor([-3.3, 1.7, 2.9, -0.6])
    targets = [one.gt_masks.crop_and_resize(boxes, 28) for one in (first, second)]
    assert targets[0].any()
    assert torch.equal(*targets)


@pytest.mark.parametrize("seed", range(5))
def test_parts_and_holes_are_cut_and_moved_to_the_pixel(seed):
    mask = pixels(seed)
    steps = [Crop(13, 7, 50, 41), Pad((41, 50), (70, 90), (9, 20), [0]), d2.VFlipTransform(70)]
    expected = np.zeros((70, 90), np.uint8)
    expected[9:50, 20:70] = mask[7:48, 13:63]
    found = to_instances([rle(mask)], *after((70, 90), *steps))
    np.testing.assert_array_equal(drawn(found), expected[::-1] > 0)


def test_global_random_state_is_put_back_even_after_an_error():
    np.random.seed(3)
    random.seed(3)
    expected = np.random.random(), random.random()
    np.random.seed(3)
    random.seed(3)
    with contextlib.suppress(RuntimeError), seeded(1, 2, 3):
        assert (np.random.random(), random.random()) != expected
        raise RuntimeError
    assert (np.random.random(), random.random()) == expected


def samples(tiny_coco, **arguments):
    mapper = TrainMapper(PADDED, "RGB", 3, seed=4)
    return list(build_loss_loader(tiny_coco.open(), mapper, **arguments))


def test_every_tensor_is_changed_and_all_else_stays(tiny_coco):
    """Boxes, classes, crowd marks and the image; also of an image without objects."""
    for [sample] in samples(tiny_coco):
        before = pickle.dumps(sample)
        seen = []
        found = with_tensors(sample, lambda tensor, seen=seen: seen.append(tensor) or tensor + 1)
        assert pickle.dumps(sample) == before, "the sample itself is as it was"
        objects, changed = sample["instances"], found["instances"]
        assert len(seen) == 3 + objects.has("gt_crowd")
        assert torch.equal(found["image"], sample["image"] + 1)
        assert torch.equal(changed.gt_boxes.tensor, objects.gt_boxes.tensor + 1)
        assert torch.equal(changed.gt_classes, objects.gt_classes + 1)
        assert changed.gt_masks is objects.gt_masks
        assert changed.image_size == objects.image_size
        assert {k: found[k] for k in found.keys() - {"image", "instances"}} == {
            k: sample[k] for k in sample.keys() - {"image", "instances"}
        }
        assert isinstance(found["pad_to"], tuple), "it is a key of a dict when predicting"


def test_the_loader_pins_by_the_batch_s_own_method(tiny_coco, monkeypatch):
    """As torch's thread does it, with the call to CUDA left out."""
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda t: pinned.append(t) or t.clone())
    batch = PinnableBatch([one for [one] in samples(tiny_coco)])
    batch = pickle.loads(pickle.dumps(batch))  # on its way from a worker
    found = torch.utils.data._utils.pin_memory.pin_memory(batch)
    assert len(pinned) == 4 * 3 + 1
    assert [one["image_id"] for one in found] == [1, 2, 3, 4]
    test_sample = TestMapper(PADDED, "RGB", 3)(np.zeros((40, 40, 3), np.uint8))
    assert len(PinnableBatch([test_sample]).pin_memory()) == 1


def test_loaders_pin_only_when_asked(tiny_coco):
    dataset, train = tiny_coco.open(), TrainMapper(PADDED, "RGB", 3, seed=4)
    test = TestMapper(PADDED, "RGB", 3)
    for pinned in (False, True):
        loaders = [
            build_train_loader(dataset, train, batch_size=1, seed=0, pinned=pinned),
            build_test_loader(dataset, test, batch_size=1, pinned=pinned),
            build_loss_loader(dataset, train, pinned=pinned),
        ]
        assert {one.pin_memory for one in loaders} == {pinned}
        assert {one.collate_fn is PinnableBatch for one in loaders} == {pinned}
