"""The focal loss against loops, torchvision and its limits."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision import ops

from paddlex_maskrcnn.modeling.focal_loss import sigmoid_focal_loss
from reference.focal import focal_loss


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
