from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.structures import Boxes, pairwise_iou

from paddlex_maskrcnn.data.check.anchors import (
    CLEARLY,
    anchor_finding,
    anchor_report,
    best_overlap,
    best_overlaps,
    better_anchors,
    misplaced,
    recall,
)
from paddlex_maskrcnn.data.check.plan import AnchorSet, Plan, ResizedBoxes

USUAL = AnchorSet((32, 64, 128, 256, 512), (0.5, 1.0, 2.0))


def random_boxes(count, height, width, seed=0):
    """XYWH boxes inside an image, of all sizes."""
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(np.log(4), np.log(min(height, width)), (count, 2)))
    corner = rng.uniform(0, 1, (count, 2)) * ((width, height) - sides)
    return ResizedBoxes(
        np.concatenate([corner, sides], axis=1), np.tile((height, width), (count, 1))
    )


def by_brute_force(found, anchors, padded):
    """Every anchor of Detectron2's generator against every box: (N, S, R) best IoU over the grid."""
    strides = anchors.strides.astype(int).tolist()
    is_fpn = anchors.with_fpn
    generator = DefaultAnchorGenerator(
        sizes=[[size] for size in anchors.sizes] if is_fpn else [list(anchors.sizes)],
        aspect_ratios=[list(anchors.ratios)],
        strides=strides if is_fpn else strides[:1],
        offset=0.0,
    )
    maps = [
        torch.zeros(1, 1, -(-padded[0] // stride), -(-padded[1] // stride))
        for stride in (strides if is_fpn else strides[:1])
    ]
    xywh = torch.tensor(found.boxes, dtype=torch.float32)
    boxes = Boxes(torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], dim=1))
    best = []
    per_point = len(anchors.ratios) * (1 if is_fpn else len(anchors.sizes))
    for level in generator(maps):
        overlaps = pairwise_iou(boxes, level).reshape(len(boxes), -1, per_point)
        best.append(overlaps.max(dim=1).values)
    return torch.cat(best, dim=1).reshape(len(boxes), len(anchors.sizes), -1).numpy()


@pytest.mark.parametrize(
    "anchors",
    [
        USUAL,
        AnchorSet((10, 30, 50, 90, 300), (0.3, 1.4)),
        AnchorSet((32, 64, 100), (0.5, 2), False),
    ],
    ids=["usual", "others", "C4"],
)
def test_equals_detectron2s_anchors_one_by_one(anchors):
    """300 x 420 is padded to 320 x 448; boxes at the far border have no anchor beyond it."""
    found = random_boxes(80, 300, 420)
    expected = by_brute_force(found, anchors, (320, 448))
    np.testing.assert_allclose(best_overlaps(found, anchors), expected, atol=2e-5)


def test_a_box_that_is_an_anchor():
    found = ResizedBoxes(np.array([[64 - 16, 32 - 16, 32, 32.0]]), np.array([[256, 256]]))
    assert best_overlap(found, USUAL) == pytest.approx([1.0])


def test_recall_counts():
    assert recall(np.array([0.2, 0.5, 0.7, 0.9]), 0.5) == 0.75
    assert recall(np.empty(0), 0.5) == 1.0


def test_a_better_set_is_found_for_small_long_objects():
    """Objects of 20 x 60 pixels: the usual anchors of ratio 2 and size 32 miss them."""
    rng = np.random.default_rng(0)
    sides = np.stack([rng.uniform(17, 23, 300), rng.uniform(55, 65, 300)], axis=1)
    corner = rng.uniform(0, 400, (300, 2))
    found = ResizedBoxes(np.concatenate([corner, sides], axis=1), np.tile((512, 512), (300, 1)))
    better = better_anchors(found, USUAL)
    before, after = (recall(best_overlap(found, one), 0.7) for one in (USUAL, better))
    assert before < 0.4
    assert after > 0.95
    assert len(better.sizes) == 5
    assert len(better.ratios) == 3
    assert list(better.sizes) == sorted(better.sizes)
    assert any(2.4 < ratio < 3.6 for ratio in better.ratios)


def test_no_set_is_named_where_none_is_clearly_better():
    """Objects that are anchors already."""
    shapes = USUAL.shapes().reshape(-1, 2)[:9]
    sides = np.tile(shapes, (20, 1))
    corner = np.random.default_rng(1).uniform(0, 800, (len(sides), 2))
    found = ResizedBoxes(np.concatenate([corner, sides], axis=1), np.tile((1200, 1200), (180, 1)))
    before = best_overlap(found, USUAL)
    assert min(recall(before, at) for at in (0.5, 0.7)) > 1 - CLEARLY
    assert better_anchors(found, USUAL) is None


def test_too_few_objects_for_a_search():
    assert better_anchors(random_boxes(5, 300, 300), USUAL) is None


def fruits(count=200, side=800, low=95, high=290):
    """Round objects of middle size, as of fruits in images of 800 pixels."""
    rng = np.random.default_rng(0)
    sides = np.exp(rng.uniform(np.log(low), np.log(high), (count, 1))) * rng.uniform(
        0.9, 1.1, (count, 2)
    )
    corner = rng.uniform(0, 1, (count, 2)) * (side - sides)
    return ResizedBoxes(np.concatenate([corner, sides], axis=1), np.tile((side, side), (count, 1)))


def scan_of(boxes):
    """A part whose images, one a box, need no resizing."""
    count = len(boxes)
    zeros = np.zeros(count, bool)
    objects = SimpleNamespace(image=np.arange(count), is_crowd=zeros, box=boxes.boxes)
    return SimpleNamespace(name="train", sizes=boxes.frames, objects=objects)


def report_of(boxes, anchors):
    return anchor_report([scan_of(boxes)], Plan("", lambda h, w: (h, w), anchors))


@pytest.mark.parametrize(("low", "high"), [(95, 290), (20, 40), (300, 700), (16, 600)])
def test_sizes_suit_the_strides_of_their_levels(low, high):
    """Overlaps alone would put anchors of 100 pixels on stride 4, where they are densest."""
    better = better_anchors(fruits(low=low, high=high, side=1000), USUAL)
    if better is not None:
        assert not misplaced(better)
        assert list(better.sizes) == sorted(better.sizes)
    middle = better_anchors(fruits(), USUAL)
    assert recall(best_overlap(fruits(), middle), 0.7) > 0.9
    assert middle.sizes[0] == 32, "no object needs stride 4: its size is the usual one"


def test_sizes_that_do_not_suit_are_named_and_replaced():
    """They reach every object, and are what an overlap alone would choose."""
    dense = AnchorSet((103, 139, 179, 215, 285), (0.7, 0.97, 1.32))
    report = report_of(fruits(), dense)
    (finding,) = anchor_finding(report)
    assert finding.level == "warning"
    assert "103 on stride 4, 139 on stride 8" in finding.title
    assert not misplaced(report.better)
    assert "model.anchor_sizes: [32, " in finding.remedy


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(4, 9, (950, 1400)), (2000, 3000, (300, 600)), (20, 40, None), (1, 3000, None)],
)
def test_another_size_of_images_for_objects_out_of_reach(low, high, expected):
    """Of images with sides of 400: at stride 4 anchors have 16 pixels and more, at stride 64 up to 1024."""
    boxes = fruits(low=low, high=high, side=400)
    report = report_of(boxes, USUAL)
    if expected is None:
        assert report.short_side is None
        return
    assert expected[0] < report.short_side < expected[1] or high > 400
    factor = report.short_side / 400
    moved = ResizedBoxes(boxes.boxes * factor, boxes.frames * factor)
    assert report_of(moved, USUAL).short_side is None
    words = " ".join(one.remedy for one in anchor_finding(report))
    assert f"short_size {report.short_side} of ResizeByShort" in words


def test_the_table_has_a_row_for_each_level_with_objects():
    rows = {row.name: row.boxes for row in report_of(fruits(low=110), USUAL).rows}
    levels = {name: count for name, count in rows.items() if "stride" in name}
    assert list(levels) == [
        "train: stride 16, 91 to 181 pixels", "train: stride 32, 181 to 362 pixels"
    ]  # fmt: skip
    assert sum(levels.values()) == rows["train: all"]
