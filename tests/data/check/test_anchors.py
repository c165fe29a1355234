import numpy as np
import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.structures import Boxes, pairwise_iou

from paddlex_maskrcnn.data.check.anchors import (
    CLEARLY,
    best_overlap,
    best_overlaps,
    better_anchors,
    recall,
)
from paddlex_maskrcnn.data.check.plan import AnchorSet, ResizedBoxes

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
