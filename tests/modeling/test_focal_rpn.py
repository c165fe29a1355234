"""FocalRPN: what is divided by what, and its limits."""

from __future__ import annotations

import math

import pytest
import torch
from detectron2.layers import ShapeSpec, cat
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.acceleration import accelerate
from paddlex_maskrcnn.modeling.rpn import CrowdRPN, FocalRPN
from reference.focal import focal_loss

SHAPE = {"res4": ShapeSpec(channels=8, stride=16)}
SIZE = 96


@pytest.fixture
def cfg(make_cfg):
    cfg = make_cfg(fpn=False)
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = 16
    return cfg


def build(kind, cfg):
    torch.manual_seed(0)
    rpn = kind(cfg, SHAPE)
    torch.nn.init.normal_(rpn.rpn_head.objectness_logits.weight)
    return rpn


class Run:
    """One training pass: losses, and what the loss was computed from."""

    def __init__(self, rpn, targets):
        torch.manual_seed(1)
        side = SIZE // 16
        images = ImageList(torch.zeros(len(targets), 3, SIZE, SIZE), [(SIZE, SIZE)] * len(targets))
        features = {"res4": torch.rand(len(targets), 8, side, side)}
        anchors = rpn.anchor_generator([features["res4"]])
        logits, _ = rpn.rpn_head([features["res4"]])
        self.logits = cat([x.permute(0, 2, 3, 1).flatten(1) for x in logits], dim=1)
        # the pass below draws the same samples as this
        torch.manual_seed(2)
        self.sampled, _ = CrowdRPN.label_and_sample_anchors(rpn, anchors, targets)
        self.labels, _ = rpn.label_anchors(anchors, targets)
        torch.manual_seed(2)
        with EventStorage():
            _, self.losses = rpn(images, features, targets)


def objects(make_targets, num_images=2):
    torch.manual_seed(3)
    return [make_targets(2, SIZE) for _ in range(num_images)]


def mean_focal(logits, labels, alpha, gamma):
    labels = torch.stack(labels)
    used = labels >= 0
    total = focal_loss(logits[used].tolist(), labels[used].tolist(), alpha, gamma)
    return total / max(1, int((labels == 1).sum()))


@pytest.mark.parametrize("focal_on", ["sampled", "all"])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_cls_loss_is_focal_loss_by_positives(focal_on, alpha, cfg, make_targets):
    cfg.MODEL.RPN.FOCAL_ON, cfg.MODEL.RPN.FOCAL_ALPHA = focal_on, alpha
    cfg.MODEL.RPN.IOU_THRESHOLDS = [0.1, 0.3]
    run = Run(build(FocalRPN, cfg), objects(make_targets))
    assert (torch.stack(run.labels) == 1).sum() > (torch.stack(run.sampled) == 1).sum() == 16
    labels = run.sampled if focal_on == "sampled" else run.labels
    expected = mean_focal(run.logits, labels, alpha, 2.0)
    assert run.losses["loss_rpn_cls"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("focal_on", ["sampled", "all"])
def test_box_loss_is_the_parents_by_sampled_positives(focal_on, cfg, make_targets):
    cfg.MODEL.RPN.FOCAL_ON = focal_on
    targets = objects(make_targets)
    run, plain = (Run(build(kind, cfg), targets) for kind in (FocalRPN, CrowdRPN))
    num_positives = int((torch.stack(run.sampled) == 1).sum())
    assert 0 < num_positives < 32
    expected = plain.losses["loss_rpn_loc"].item() * 16 * 2 / num_positives
    assert run.losses["loss_rpn_loc"].item() == pytest.approx(expected, rel=1e-6)


def test_gamma_0_without_alpha_equals_the_parent_bit_for_bit(cfg, make_targets):
    """All sampled anchors positive: then both divide by the same number, 8 anchors an image."""
    cfg.MODEL.RPN.FOCAL_GAMMA = 0.0
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = 4
    cfg.MODEL.RPN.POSITIVE_FRACTION = 1.0
    cfg.MODEL.RPN.IOU_THRESHOLDS = [0.05, 0.2]
    ours, stock = build(FocalRPN, cfg), build(RPN, cfg)
    stock.load_state_dict(ours.state_dict())
    targets = objects(make_targets)
    run, fast = Run(ours, targets), Run(accelerate(ours), targets)
    assert (torch.stack(run.sampled) == 1).sum() == 8
    with EventStorage():
        torch.manual_seed(1)
        images = ImageList(torch.zeros(2, 3, SIZE, SIZE), [(SIZE, SIZE)] * 2)
        features = {"res4": torch.rand(2, 8, 6, 6)}
        torch.manual_seed(2)
        _, losses = stock(images, features, targets)
    assert run.losses == losses
    torch.testing.assert_close(fast.losses, losses, rtol=1e-5, atol=0)


@pytest.mark.parametrize("focal_on", ["sampled", "all"])
def test_no_positives(focal_on, cfg):
    """PaddleX divides by zero here."""
    cfg.MODEL.RPN.FOCAL_ON = focal_on
    nothing = [Instances((SIZE, SIZE), gt_boxes=Boxes(torch.zeros(0, 4)))]
    rpn = build(FocalRPN, cfg)
    run = Run(rpn, nothing)
    labels = run.sampled if focal_on == "sampled" else run.labels
    assert run.losses["loss_rpn_cls"].item() == pytest.approx(
        mean_focal(run.logits, labels, None, 2.0), rel=1e-5
    )
    assert run.losses["loss_rpn_loc"].item() == 0
    sum(run.losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in rpn.parameters())


@pytest.mark.parametrize("focal_on", ["sampled", "all"])
def test_crowd_is_left_alone(focal_on, cfg, make_targets):
    """A crowd over the whole image: only anchors that stick out by 0.3 of their area are used."""
    cfg.MODEL.RPN.FOCAL_ON = focal_on
    targets = make_targets(1, SIZE, [True])
    targets.gt_boxes.tensor[0] = torch.tensor([0.0, 0, SIZE, SIZE])
    run = Run(build(FocalRPN, cfg), [targets])
    labels = run.sampled if focal_on == "sampled" else run.labels
    expected = mean_focal(run.logits, labels, None, 2.0)
    assert (run.labels[0] == -1).sum() > 50
    assert run.losses["loss_rpn_cls"].item() == pytest.approx(expected, rel=1e-5)


def test_starts_at_a_probability_of_one_percent(cfg):
    rpn = FocalRPN(cfg, SHAPE)
    assert torch.sigmoid(rpn.rpn_head.objectness_logits.bias).tolist() == pytest.approx([0.01] * 9)
    assert rpn.rpn_head.objectness_logits.bias[0].item() == pytest.approx(-math.log(99))


def test_loss_weights_apply(cfg, make_targets):
    cfg.MODEL.RPN.LOSS_WEIGHT = 3.0
    weighted = Run(build(FocalRPN, cfg), objects(make_targets)).losses
    cfg.MODEL.RPN.LOSS_WEIGHT = 1.0
    plain = Run(build(FocalRPN, cfg), objects(make_targets)).losses
    for name, value in plain.items():
        assert weighted[name].item() == pytest.approx(3 * value.item(), rel=1e-6)


def test_unknown_choice_of_anchors(cfg):
    cfg.MODEL.RPN.FOCAL_ON = "every"
    with pytest.raises(ValueError, match=r"FOCAL_ON is 'every'; choose one of sampled, all"):
        FocalRPN(cfg, SHAPE)
