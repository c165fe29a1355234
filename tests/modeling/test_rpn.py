"""CrowdRPN against stock RPN, with crowd regions and with objects out of every anchor's reach."""

from __future__ import annotations

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.acceleration import accelerate
from paddlex_maskrcnn.modeling.matching import inside_crowd
from paddlex_maskrcnn.modeling.rpn import CrowdRPN

SHAPE = {"res4": ShapeSpec(channels=8, stride=16)}
SIZE = 96


@pytest.fixture
def cfg(make_cfg):
    return make_cfg(fpn=False)


def build(kind, cfg):
    torch.manual_seed(0)
    return kind(cfg, SHAPE)


def run(rpn, targets):
    torch.manual_seed(1)
    images = ImageList(torch.zeros(len(targets), 3, SIZE, SIZE), [(SIZE, SIZE)] * len(targets))
    features = {"res4": torch.rand(len(targets), 8, SIZE // 16, SIZE // 16)}
    with EventStorage():
        proposals, losses = rpn(images, features, targets)
    return proposals, losses


def anchors_of(rpn):
    return rpn.anchor_generator([torch.zeros(1, 8, SIZE // 16, SIZE // 16)])


@pytest.mark.parametrize("crowd", [None, [False, False]])
def test_equals_the_parent_without_crowd(crowd, cfg, make_targets):
    """Bit for bit, and losses up to rounding when it is accelerated."""
    torch.manual_seed(3)
    targets = [make_targets(2, SIZE, crowd) for _ in range(2)]
    expected_proposals, expected_losses = run(build(RPN, cfg), targets)
    proposals, losses = run(build(CrowdRPN, cfg), targets)
    assert losses == expected_losses
    assert_same_proposals(proposals, expected_proposals)
    proposals, losses = run(accelerate(build(CrowdRPN, cfg)), targets)
    assert losses.keys() == expected_losses.keys()
    for name, loss in expected_losses.items():
        torch.testing.assert_close(losses[name], loss, rtol=1e-5, atol=0)
    assert_same_proposals(proposals, expected_proposals)


def assert_same_proposals(found, expected):
    for got, wanted in zip(found, expected, strict=True):
        assert torch.equal(got.proposal_boxes.tensor, wanted.proposal_boxes.tensor)


def test_anchors_in_a_crowd_are_neither(cfg, make_targets):
    """Background anchors mostly in a crowd are ignored; nothing else differs from no crowd."""
    torch.manual_seed(3)
    rpn = build(CrowdRPN, cfg)
    targets = make_targets(3, SIZE, [False, True, True])
    targets.gt_boxes.tensor[1] = torch.tensor([30.0, 20, 94, 92])
    (labels,), (matched,) = rpn.label_anchors(anchors_of(rpn), [targets])
    (without_crowd,), _ = rpn.label_anchors(anchors_of(rpn), [targets[:1]])
    crowded = inside_crowd(Boxes.cat(anchors_of(rpn)), targets.gt_boxes[1:], 0.7)
    assert ((without_crowd == 0) & crowded).any()
    for label, plain, in_crowd in zip(labels, without_crowd, crowded, strict=True):
        assert label == (-1 if plain == 0 and in_crowd else plain)
    assert (matched[labels == 1] == targets.gt_boxes.tensor[0]).all()


def test_crowd_anchors_are_never_sampled(cfg, make_targets):
    """The whole image is a crowd: no anchor inside it is ever trained as background."""
    targets = make_targets(1, SIZE, [True])
    targets.gt_boxes.tensor[0] = torch.tensor([0.0, 0, SIZE, SIZE])
    rpn = build(CrowdRPN, cfg)
    inside = inside_crowd(Boxes.cat(anchors_of(rpn)), targets.gt_boxes, 0.7)
    for seed in range(5):
        torch.manual_seed(seed)
        (label,), _ = rpn.label_and_sample_anchors(anchors_of(rpn), [targets])
        assert not (label[inside] >= 0).any()
        assert (label == 1).sum() == 0
    assert torch.isfinite(sum(run(rpn, [targets])[1].values()))


def test_object_no_anchor_touches_gets_none(cfg):
    """Its best IoU is 0; Detectron2 makes every anchor positive for it, ours none."""
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[4]]
    cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS = [[1.0]]
    lost, seen = [7.0, 7, 9, 9], [14.0, 14, 18, 18]
    targets = [Instances((SIZE, SIZE), gt_boxes=Boxes(torch.tensor([lost, seen])))]
    stock, ours = build(RPN, cfg), build(CrowdRPN, cfg)
    torch.manual_seed(0)
    (label,), _ = ours.label_and_sample_anchors(anchors_of(ours), targets)
    assert (label == 1).sum() == 1
    (stock_label,), _ = stock.label_and_sample_anchors(anchors_of(stock), targets)
    assert (stock_label == 1).sum() > 1


def test_no_objects_at_all(cfg):
    targets = [Instances((SIZE, SIZE), gt_boxes=Boxes(torch.zeros(0, 4)))]
    rpn = build(CrowdRPN, cfg)
    (label,), (matched,) = rpn.label_and_sample_anchors(anchors_of(rpn), targets)
    assert (label == 1).sum() == 0
    assert (label == 0).sum() == 64
    assert matched.shape == (len(label), 4)
