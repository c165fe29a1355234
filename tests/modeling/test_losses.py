"""CIoU and focal loss."""

from __future__ import annotations

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.layers import ciou_loss as detectron2_loss
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision import ops
from torchvision.ops import complete_box_iou_loss

from paddlex_maskrcnn.modeling.box_predictor import PaddleXBoxPredictor
from paddlex_maskrcnn.modeling.losses import ciou_loss, sigmoid_focal_loss
from reference.ciou import ciou_loss as reference_loss
from reference.focal import focal_loss

NUM_CLASSES = 5


def random_boxes(num, seed):
    torch.manual_seed(seed)
    corner = torch.rand(num, 2) * 60
    return torch.cat([corner, corner + torch.rand(num, 2) * 40 + 1], dim=1)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_reference(seed):
    boxes, targets = random_boxes(100, seed), random_boxes(100, seed + 100)
    expected = [
        reference_loss(*pair) for pair in zip(boxes.tolist(), targets.tolist(), strict=True)
    ]
    torch.testing.assert_close(ciou_loss(boxes, targets), torch.tensor(expected))


@pytest.mark.parametrize("other", [detectron2_loss, complete_box_iou_loss])
def test_values_and_gradients_equal_detectron2_and_torchvision(other):
    """Random pairs, equal boxes, one box inside the other, and boxes that just touch."""
    boxes, targets = random_boxes(200, 0), random_boxes(200, 1)
    targets[:20] = boxes[:20]
    boxes[20] = torch.tensor([10.0, 10, 20, 20])
    targets[20] = torch.tensor([12.0, 12, 18, 18])
    targets[21] = boxes[21] + (boxes[21, 2] - boxes[21, 0]) * torch.tensor([1.0, 0, 1, 0])
    boxes.requires_grad_()
    losses = ciou_loss(boxes, targets), other(boxes, targets)
    torch.testing.assert_close(*losses)
    grads = [torch.autograd.grad(loss.sum(), boxes)[0] for loss in losses]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-6)


def test_by_hand():
    """Side 2 and side 1, centres 0.5 apart in y: IoU 1/4, diagonal 2 * 2^2, aspects equal."""
    loss = ciou_loss(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[0.5, 1.0, 1.5, 2]]))
    assert loss.item() == pytest.approx(1 - 1 / 4 + 0.5**2 / 8)


DEGENERATE = {
    "no width": [5.0, 5, 5, 9],
    "no height": [5.0, 5, 9, 5],
    "a point": [5.0, 5, 5, 5],
    "turned around": [9.0, 9, 5, 5],
    "far away": [1e25, 1e25, 1e25, 1e25],
    "tiny": [5.0, 5, 5 + 1e-6, 5 + 1e-6],
    "a speck": [0.0, 0, 1e-22, 1e-22],
    "plain": [4.0, 4, 8, 8],
}


@pytest.mark.parametrize("box", DEGENERATE)
@pytest.mark.parametrize("target", [name for name in DEGENERATE if name != "far away"])
def test_degenerate_boxes_have_finite_losses_and_gradients(box, target):
    boxes = torch.tensor([DEGENERATE[box]], requires_grad=True)
    loss = ciou_loss(boxes, torch.tensor([DEGENERATE[target]]))
    loss.backward()
    assert torch.isfinite(boxes.grad).all()
    assert 0 <= loss.item() <= 3


@pytest.mark.parametrize("delta", [-1e4, -60.0, -20.0, 60.0, 1e4, 1e20])
@pytest.mark.parametrize("coordinate", range(4))
def test_gradients_reach_extreme_deltas_finite(delta, coordinate):
    """Very small exponents decode to boxes of no size, where Detectron2's gradient is NaN."""
    deltas = torch.zeros(1, 4)
    deltas[0, coordinate] = delta
    deltas.requires_grad_()
    transform = Box2BoxTransform(weights=(10.0, 10.0, 5.0, 5.0))
    boxes = transform.apply_deltas(deltas, torch.tensor([[300.0, 300, 340, 360]]))
    loss = ciou_loss(boxes, torch.tensor([[310.0, 300, 350, 350]]))
    loss.backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(deltas.grad).all()
    assert deltas.grad.abs().max() < 10


def test_detectron2s_gradient_is_nan_where_ours_is_not():
    """If this fails, Detectron2 has been mended and our own loss can go."""
    boxes = torch.tensor([DEGENERATE["a point"]], requires_grad=True)
    detectron2_loss(boxes, torch.tensor([DEGENERATE["plain"]])).backward()
    assert not torch.isfinite(boxes.grad).all()


def proposals(gt_classes):
    image = Instances((100, 100))
    image.proposal_boxes = Boxes(random_boxes(len(gt_classes), 0))
    image.gt_boxes = Boxes(random_boxes(len(gt_classes), 1))
    image.gt_classes = torch.tensor(gt_classes)
    return [image]


def box_loss(kind, cfg, gt_classes):
    """Box loss of a predictor and its gradients at the deltas."""
    predictor = kind(cfg, ShapeSpec(channels=8))
    torch.manual_seed(2)
    deltas = torch.randn(len(gt_classes), predictor.bbox_pred.out_features, requires_grad=True)
    scores = torch.zeros(len(gt_classes), NUM_CLASSES + 1)
    with EventStorage():
        losses = predictor.losses((scores, deltas), proposals(gt_classes))
    losses["loss_box_reg"].backward()
    return losses["loss_box_reg"].detach(), deltas.grad


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("weight", [1.0, 10.0])
@pytest.mark.parametrize("gt_classes", [[0, 5, 4, 2, 5, 5], [5, 5], [1]])
def test_predictor_equals_the_parent(agnostic, weight, gt_classes, make_cfg):
    """Class-specific boxes, the weight, the division by all proposals, background left out."""
    cfg = make_cfg()
    cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE = "ciou"
    cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT = weight
    cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = agnostic
    ours = box_loss(PaddleXBoxPredictor, cfg, gt_classes)
    stock = box_loss(FastRCNNOutputLayers, cfg, gt_classes)
    for got, expected in zip(ours, stock, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-7)


def test_weight_and_division_by_hand(make_cfg):
    """One object among four proposals, weight 10: ten quarters of its loss."""
    cfg = make_cfg()
    cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE = "ciou"
    cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT = 10.0
    predictor = PaddleXBoxPredictor(cfg, ShapeSpec(channels=8))
    images = proposals([5, 2, 5, 5])
    with EventStorage():
        losses = predictor.losses((torch.zeros(4, 6), torch.zeros(4, 20)), images)
    pair = [getattr(images[0], name).tensor[1].tolist() for name in ("proposal_boxes", "gt_boxes")]
    assert losses["loss_box_reg"].item() == pytest.approx(10 / 4 * reference_loss(*pair), rel=1e-5)


def anchors(seed, num=50):
    torch.manual_seed(seed)
    return torch.randn(num, requires_grad=True), torch.randint(0, 2, (num,))


@pytest.mark.parametrize("alpha", [None, 0.25, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_equals_loops_and_torchvision(alpha, gamma):
    logits, labels = anchors(0)
    loss = sigmoid_focal_loss(logits, labels, alpha, gamma)
    expected = focal_loss(logits.tolist(), labels.tolist(), alpha, gamma)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    (grad,) = torch.autograd.grad(loss, logits)
    other = ops.sigmoid_focal_loss(
        logits, labels.float(), -1 if alpha is None else alpha, gamma, reduction="sum"
    )
    torch.testing.assert_close(grad, torch.autograd.grad(other, logits)[0])


def test_gamma_0_without_alpha_is_cross_entropy_bit_for_bit():
    """Loss and gradient of every element, saturated ones too."""
    logits, labels = anchors(1)
    with torch.no_grad():
        logits[:4] = torch.tensor([200.0, -200.0, 30.0, 0.0])
    plain = binary_cross_entropy_with_logits(logits, labels.float(), reduction="sum")
    loss = sigmoid_focal_loss(logits, labels, None, 0.0)
    assert torch.equal(loss, plain)
    grads = [torch.autograd.grad(value, logits)[0] for value in (loss, plain)]
    assert torch.equal(*grads)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_saturated_logits_have_finite_gradients(gamma):
    """torchvision's gradient is NaN here for gamma 0.3."""
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4, 40.0], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1, 0, 0, 1, 1]), 0.25, gamma)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[[0, 1]].tolist() == [0, 0]
    torch.testing.assert_close(logits.grad[[2, 3]], torch.tensor([0.75, -0.25]))


def test_easy_negatives_shrink_by_the_formula():
    """d/dx of -(1 - a) p^g log(1 - p) is (1 - a) p^g (p - g (1 - p) log(1 - p)).

    For an anchor at probability p = 0.01, alpha 0.25 and gamma 2, plain loss has gradient p.
    """
    p = torch.tensor([0.01, 0.1, 0.5, 0.9])
    logits = torch.logit(p).requires_grad_()
    loss = sigmoid_focal_loss(logits, torch.zeros(4), 0.25, 2.0)
    (grad,) = torch.autograd.grad(loss, logits)
    shrinks_by = 0.75 * p**2 * (1 - 2 * (1 - p) / p * torch.log(1 - p))
    torch.testing.assert_close(grad, p * shrinks_by)
    assert shrinks_by[0] < 3e-4
    assert shrinks_by[3] > 0.75


def test_no_anchors():
    loss = sigmoid_focal_loss(torch.zeros(0, requires_grad=True), torch.zeros(0), 0.25, 2.0)
    assert loss.item() == 0
    loss.backward()
