"""Matching and crowd regions."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.matcher import Matcher
from detectron2.structures import Boxes, PolygonMasks

from paddlex_maskrcnn.modeling.matching import TouchingMatcher, inside_crowd, split_crowd

THRESHOLDS, LABELS = [0.3, 0.7], [0, -1, 1]


@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("num_objects", [0, 1, 6])
def test_equals_detectron2(low_quality, num_objects):
    """With ties, as two anchors may overlap an object alike."""
    overlaps = torch.rand(num_objects, 300, generator=torch.Generator().manual_seed(0))
    overlaps = (overlaps * 20).round() / 20
    expected = Matcher(THRESHOLDS, LABELS, low_quality)(overlaps)
    matches, labels = TouchingMatcher(THRESHOLDS, LABELS, low_quality)(overlaps)
    assert torch.equal(labels, expected[1])
    assert labels.dtype == expected[1].dtype
    assert torch.equal(matches, expected[0])


def test_an_object_that_nothing_touches_gets_nothing():
    overlaps = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.2, 0.0]])
    _, labels = TouchingMatcher(THRESHOLDS, LABELS, True)(overlaps)
    assert labels.tolist() == [0, 1, 0]


def overlap_fraction(box, crowd):
    width = min(box[2], crowd[2]) - max(box[0], crowd[0])
    height = min(box[3], crowd[3]) - max(box[1], crowd[1])
    return max(width, 0) * max(height, 0) / ((box[2] - box[0]) * (box[3] - box[1]))


def test_inside_crowd_equals_loops(make_proposals):
    torch.manual_seed(0)
    boxes, crowd = (make_proposals(num, 64).proposal_boxes for num in (200, 3))
    expected = [
        any(overlap_fraction(box, region) > 0.7 for region in crowd.tensor.tolist())
        for box in boxes.tensor.tolist()
    ]
    assert 0 < sum(expected) < 200
    assert inside_crowd(boxes, crowd, 0.7).tolist() == expected


def test_box_covered_by_two_regions_together_is_not_inside():
    """Each half of the box lies in another region: neither covers 0.7 of it."""
    crowd = Boxes(torch.tensor([[0.0, 0, 5, 10], [5.0, 0, 10, 10]]))
    assert inside_crowd(Boxes(torch.tensor([[0.0, 0, 10, 10]])), crowd, 0.7).tolist() == [False]


def test_flat_boxes_are_not_inside():
    flat = Boxes(torch.tensor([[2.0, 2, 2, 8], [3.0, 3, 3, 3]]))
    crowd = Boxes(torch.tensor([[0.0, 0, 10, 10]]))
    assert inside_crowd(flat, crowd, 0.7).tolist() == [False, False]
    assert inside_crowd(flat[:0], crowd, 0.7).shape == (0,)


def test_split_keeps_the_fields_of_the_objects(make_targets):
    torch.manual_seed(0)
    targets = make_targets(4, 32, [False, True, False, True])
    targets.gt_masks = PolygonMasks([[[i, i, i + 9, i, i, i + 9]] for i in range(4)])
    (objects,), (crowd,) = split_crowd([targets])
    assert not objects.has("gt_crowd")
    assert targets.has("gt_crowd")
    assert torch.equal(objects.gt_boxes.tensor, targets.gt_boxes.tensor[[0, 2]])
    assert torch.equal(objects.gt_classes, targets.gt_classes[[0, 2]])
    assert [polygons[0][0] for polygons in objects.gt_masks.polygons] == [0, 2]
    assert torch.equal(crowd.tensor, targets.gt_boxes.tensor[[1, 3]])


def test_without_the_field_the_targets_are_passed_on(make_targets):
    targets = make_targets(2, 32)
    (objects,), (crowd,) = split_crowd([targets])
    assert objects is targets
    assert crowd.tensor.shape == (0, 4)


@pytest.mark.gpu
def test_split_on_a_device_equals_the_cpu(make_targets):
    """Some images have crowd regions, some none; polygons lie on the CPU anyhow."""
    torch.manual_seed(0)
    images = [make_targets(3, 32, [False, True, False]), make_targets(2, 32)]
    images[0].gt_masks = PolygonMasks([[[i, i, i + 9, i, i, i + 9]] for i in range(3)])
    expected, results = (
        split_crowd([image.to(place) for image in images]) for place in ("cpu", "cuda")
    )
    for mine, theirs in zip(results[0], expected[0], strict=True):
        assert mine.get_fields().keys() == theirs.get_fields().keys()
        assert torch.equal(mine.gt_boxes.tensor.cpu(), theirs.gt_boxes.tensor)
        assert torch.equal(mine.gt_classes.cpu(), theirs.gt_classes)
    assert [polygons[0][0] for polygons in results[0][0].gt_masks.polygons] == [0, 2]
    for mine, theirs in zip(results[1], expected[1], strict=True):
        assert torch.equal(mine.tensor.cpu(), theirs.tensor)
