"""Box losses of some boxes against Detectron2's of the selected ones."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform, _dense_box_regression_loss

from paddlex_maskrcnn.modeling.box_deltas import delta_loss, deltas_between

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def boxes(seed, number=40):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(number, 2, generator=generator) * 50
    return torch.cat([corner, corner + 1 + torch.rand(number, 2, generator=generator) * 30], 1)


def test_deltas_are_those_of_the_transform():
    source, target = boxes(0), boxes(1)
    expected = Box2BoxTransform(WEIGHTS).get_deltas(source, target)
    torch.testing.assert_close(deltas_between(source, target, WEIGHTS), expected)


@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_equals_detectron2(beta, share):
    source, target = boxes(0), boxes(1)
    counts = torch.rand(40, generator=torch.Generator().manual_seed(2)) < share
    values = torch.randn(40, 4, generator=torch.Generator().manual_seed(3)).requires_grad_()
    expected = _dense_box_regression_loss(
        [source[counts]], Box2BoxTransform(WEIGHTS), [values[None, counts]], [target[counts]], ...,
        smooth_l1_beta=beta,
    )  # fmt: skip
    found = delta_loss(values, source, target, counts, WEIGHTS, beta)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(one, values)[0] for one in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_what_does_not_count_may_be_anything():
    """No size, infinite: neither the loss nor a gradient sees it."""
    source, target = boxes(0, 4), boxes(1, 4)
    values = torch.ones(4, 4, requires_grad=True)
    counts = torch.tensor([True, False, False, False])
    expected = delta_loss(values[:1], source[:1], target[:1], counts[:1], WEIGHTS, 0.0)
    source[1], target[2], target[3] = 0, 0, float("nan")
    found = delta_loss(values, source, target, counts, WEIGHTS, 0.0)
    assert found == expected
    (gradient,) = torch.autograd.grad(found, values)
    assert torch.isfinite(gradient).all()
    assert (gradient[1:] == 0).all()
