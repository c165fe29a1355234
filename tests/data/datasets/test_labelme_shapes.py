"""Shapes of LabelMe: marks, groups, types; masks that cost no more memory than they must."""

import base64
import io
import tracemalloc

import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets.annotations import ImageFrame
from paddlex_maskrcnn.data.datasets.labelme_shapes import instances_of

SQUARE = [[2, 3], [12, 3], [12, 13], [2, 13]]
FRAME = ImageFrame(20, 30)


def shape(**changes):
    return {"label": "dog", "points": SQUARE, "shape_type": "polygon", **changes}


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def mask_shape(pixels, left=0, top=0, **changes):
    height, width = pixels.shape
    points = [[left, top], [left + width - 1, top + height - 1]]
    return shape(shape_type="mask", points=points, mask=png(pixels), **changes)


def single(*shapes, size=(20, 30)):
    (instance,) = instances_of(list(shapes), "a.json", size)
    return instance


@pytest.mark.parametrize("kind", ["rotation", "quadrilateral", "oriented_rectangle"])
def test_boxes_of_four_points_are_outlines(kind):
    assert single(shape(shape_type=kind)).segmentation(FRAME) == [[2, 3, 12, 3, 12, 13, 2, 13]]


@pytest.mark.parametrize("kind", ["point", "points", "line", "linestrip", "cuboid", 7, ["polygon"]])
def test_what_has_no_area_is_named_by_its_type(kind):
    kind_of_fault, where = single(shape(shape_type=kind)).fault
    assert kind_of_fault.title == "shape without an area"
    assert str(kind)[:4] in where or "a list" in where


@pytest.mark.parametrize(
    ("changes", "marks"),
    [
        ({}, set()),
        ({"difficult": False}, set()),
        ({"difficult": True}, {"difficult"}),
        ({"difficult": "1"}, {"difficult"}),
        ({"difficult": False, "flags": {"difficult": True}}, {"difficult"}),
        ({"flags": {"iscrowd": 1, "occluded": "perhaps"}}, {"iscrowd"}),
        ({"flags": {"iscrowd": "false"}}, set()),
        ({"flags": None}, set()),
    ],
)
def test_marks(changes, marks):
    instance = single(shape(**changes))
    assert (instance.marks, instance.fault) == (marks, None)


def test_a_mark_that_is_none_is_named():
    kind, where = single(shape(flags={"iscrowd": "some"})).fault
    assert kind.title == "mark that is neither true nor false"
    assert where == "a.json shape 1 ('dog'): iscrowd is 'some' (a string)"


@pytest.mark.parametrize(
    ("groups", "count"),
    [
        ((1, 1), 1),
        ((1, "1"), 1),
        ((1.0, 1), 1),
        (("a", "a"), 1),
        ((1, 2), 2),
        (("", ""), 2),
        ((None, None), 2),
    ],
)
def test_groups(groups, count):
    shapes = [shape(group_id=group) for group in groups]
    assert len(instances_of(shapes, "a.json")) == count


def test_short_parts_are_left_out_and_counted():
    instance = single(
        shape(group_id=1), shape(group_id=1, points=[[1, 1], [2, 2]]), shape(group_id=1, points=[])
    )
    assert instance.segmentation(FRAME) == [[2, 3, 12, 3, 12, 13, 2, 13]]
    assert instance.repaired == ["part of an outline with fewer than three points, left out"]
    pixels = np.full((4, 5), 255, np.uint8)
    instance = single(mask_shape(pixels, group_id=1), shape(group_id=1, points=[[1, 1]]))
    assert mask_util.area(instance.segmentation(FRAME)) == 20


@pytest.mark.parametrize("points", ["numbers as text", "words"])
def test_points_as_texts(points):
    texts = (
        [[str(x), str(y)] for x, y in SQUARE] if points == "numbers as text" else [["a", "b"]] * 3
    )
    instance = single(shape(points=texts))
    if points == "words":
        assert "points of the polygon are not pairs of numbers" in instance.fault[1]
    else:
        assert instance.segmentation(FRAME) == [[2, 3, 12, 3, 12, 13, 2, 13]]
        assert len(instance.repaired) == 1


@pytest.mark.parametrize("left", [-3, 0, 7, 27])
@pytest.mark.parametrize("top", [-2, 0, 5, 18])
def test_masks_are_placed_and_cut_pixel_by_pixel(left, top):
    pixels = np.random.default_rng(0).random((9, 8)) > 0.4
    expected = np.zeros((60, 70), bool)
    expected[20 + top : 29 + top, 20 + left : 28 + left] = pixels
    rle = single(mask_shape(pixels.astype(np.uint8) * 255, left, top)).segmentation(FRAME)
    assert rle["size"] == [20, 30]
    np.testing.assert_array_equal(mask_util.decode(rle), expected[20:40, 20:50])


def test_a_mask_outside_has_no_pixels():
    rle = single(mask_shape(np.full((4, 5), 255, np.uint8), 100, 100)).segmentation(FRAME)
    assert mask_util.area(rle) == 0


@pytest.mark.parametrize("size", [(20, 30), None])
def test_a_mask_larger_than_its_image_is_not_decoded(size):
    changes = {"points": [[0, 0], [29, 19]]}
    instance = single({**mask_shape(np.zeros((3000, 2000), np.uint8)), **changes}, size=size)
    assert "PNG of 2000x3000 in " in instance.fault[1]
    assert "of 30x20" in instance.fault[1]


def test_memory_of_masks():
    """A PNG of a few kilobytes: no more than its pixels a few times, and of them nothing stays."""
    side = 2000
    entry = mask_shape(np.full((side, side), 255, np.uint8))
    tracemalloc.start()
    instance = single(entry, size=(side, side))
    stays, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * side**2  # 16 bytes a pixel was what indices of them took
    assert stays < 20_000
    assert mask_util.area(instance.segmentation(ImageFrame(side, side))) == side**2


@pytest.mark.parametrize("mask", [None, "", "%%", 7, [], "aGVsbG8="])
def test_what_is_no_png(mask):
    kind, _ = single({**mask_shape(np.zeros((4, 5), np.uint8)), "mask": mask}).fault
    assert kind.title == "mask shape without a PNG and its corners"
