import cv2
import numpy as np
import pycocotools.mask as mask_util
import pytest

from paddlex_maskrcnn.data.check.objects import Objects, measured
from paddlex_maskrcnn.data.masks import as_text


def record_of(masks, **changes):
    """A record whose objects are these masks (H, W), boxes around them."""
    height, width = masks[0].shape
    annotations = []
    for k, mask in enumerate(masks):
        rle = mask_util.encode(np.asfortranarray(mask.astype(np.uint8)))
        one = {"bbox": mask_util.toBbox(rle).tolist(), "segmentation": as_text(rle)}
        annotations.append({**one, "category_id": 0, "iscrowd": 0, "id": k + 1, **changes})
    return {"height": height, "width": width, "annotations": annotations}


def blobs(seed, count=6):
    """Random masks with several parts and holes."""
    rng = np.random.default_rng(seed)
    masks = [
        cv2.resize(rng.random((9, 12)).astype(np.float32), (60, 40)) > 0.55 for _ in range(count)
    ]
    return [mask for mask in masks if mask.any()]


@pytest.mark.parametrize("seed", range(3))
def test_parts_and_holes_equal_those_of_the_whole_mask(seed):
    """Only the columns of the box are decoded: the count must not change."""
    masks = blobs(seed)
    table, _ = measured(record_of(masks), 0)
    for row, mask in enumerate(masks):
        padded = np.pad(mask.astype(np.uint8), 1)
        parts = cv2.connectedComponents(padded, connectivity=8)[0] - 1
        holes = cv2.connectedComponents(1 - padded, connectivity=4)[0] - 2
        assert (table.outlines[row], table.holes[row]) == (parts, holes)
        assert table.area[row] == mask.sum()


def test_border_and_agreement_of_boxes():
    masks = [np.zeros((40, 60), bool) for _ in range(3)]
    masks[0][0:5, 10:20] = True
    masks[1][10:20, 50:60] = True
    masks[2][10:20, 20:40] = True
    record = record_of(masks)
    record["annotations"][2]["bbox"] = [20, 10, 10, 10]
    table, _ = measured(record, 3)
    assert table.at_border.tolist() == [True, True, False]
    assert table.box_iou == pytest.approx([1, 1, 0.5])
    assert table.box_offset == pytest.approx([0, 0, 10])
    assert table.image.tolist() == [3, 3, 3]


def test_twins_equal_brute_force():
    masks = blobs(7, 3)
    changed = masks[0].copy()
    changed[np.argwhere(changed)[0][0]] = False
    _, twins = measured(record_of([*masks, changed, masks[1]]), 0)
    everything = [*masks, changed, masks[1]]
    expected = [
        ((a, b), (everything[a] & everything[b]).sum() / (everything[a] | everything[b]).sum())
        for a in range(5)
        for b in range(a + 1, 5)
    ]
    expected = [(pair, iou) for pair, iou in expected if iou > 0.9]
    assert [twin.indices for twin in twins] == [pair for pair, _ in expected]
    assert [twin.iou for twin in twins] == pytest.approx([iou for _, iou in expected])
    assert len(twins) >= 1


def test_crowd_regions_are_no_twins():
    mask = blobs(1)[0]
    assert measured(record_of([mask, mask], iscrowd=1), 0)[1] == []


def test_more_objects_than_pycocotools_counts():
    """A list of more than 255 masks makes its area() overflow."""
    mask = np.zeros((40, 60), bool)
    mask[3, 4] = True
    table, _ = measured(record_of([mask] * 260, iscrowd=1), 0)
    assert table.area.tolist() == [1.0] * 260


def test_no_objects():
    assert len(Objects.joined([])) == 0


def polygon(*box):
    x, y, w, h = box
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


@pytest.mark.parametrize(
    ("box", "is_corners"),
    [
        ([20, 10, 30, 25], False),  # of the mask
        ([20, 10, 40, 30], True),  # cut at the border of 60 x 40
        ([20, 10, 34, 28], False),  # drawn loosely
        ([20, 10, 40, 25], False),
        ([10, 5, 40, 30], False),
    ],
)
def test_a_box_of_two_corners(box, is_corners):
    record = record_of([np.ones((40, 60), bool)])
    record["annotations"][0] |= {"bbox": box, "segmentation": polygon(20, 10, 30, 25)}
    assert measured(record, 0)[0].box_is_corners.tolist() == [is_corners]


def test_a_box_of_two_corners_that_the_image_has_room_for():
    record = record_of([np.ones((40, 60), bool)])
    record["annotations"][0] |= {"bbox": [8, 6, 28, 20], "segmentation": polygon(8, 6, 20, 14)}
    assert measured(record, 0)[0].box_is_corners.tolist() == [True]


def test_how_much_of_an_outline_is_inside():
    record = record_of([np.ones((40, 60), bool)] * 3)
    for entry, box in zip(record["annotations"], [(10, 10, 5, 5), (-30, 0, 40, 10)], strict=False):
        entry["segmentation"] = polygon(*box)
    assert measured(record, 0)[0].inside == pytest.approx([1, 0.25, 1])
