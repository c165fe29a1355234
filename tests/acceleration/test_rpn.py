"""The RPN's head at single anchors against the head on whole maps."""

import pytest
import torch
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead

from paddlex_maskrcnn.acceleration.rpn import AnchorIndices, can_run_at_anchors, run_at_anchors

ANCHORS, CHANNELS = 3, 8
SHAPES = [(6, 9), (3, 5), (1, 2)]  # borders everywhere, the last map is nothing but border


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = StandardRPNHead(in_channels=CHANNELS, num_anchors=ANCHORS).double()
    for parameter in head.parameters():  # the initial biases are 0
        torch.nn.init.normal_(parameter)
    return head


@pytest.fixture
def maps():
    torch.manual_seed(1)
    return [torch.randn(2, CHANNELS, *shape, dtype=torch.double) for shape in SHAPES]


def whole(head, maps):
    """Objectness (N, R) and deltas (N, R, 4) of all anchors, as Detectron2's RPN orders them."""
    logits, deltas = head(maps)
    flat = [level.permute(0, 2, 3, 1).flatten(1) for level in logits]
    boxes = [
        level.unflatten(1, (ANCHORS, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3) for level in deltas
    ]
    return torch.cat(flat, 1), torch.cat(boxes, 1)


def sample(number):
    generator = torch.Generator().manual_seed(number)
    num_anchors = ANCHORS * sum(height * width for height, width in SHAPES)
    drawn = torch.randperm(2 * num_anchors, generator=generator)[:number]
    return drawn // num_anchors, drawn % num_anchors


@pytest.mark.parametrize("number", [0, 1, 40, 2 * ANCHORS * (54 + 15 + 2)])
def test_same_outputs(head, maps, number):
    images, anchors = sample(number)
    logits, deltas = run_at_anchors(head, maps, AnchorIndices(images, anchors, anchors))
    expected_logits, expected_deltas = whole(head, maps)
    torch.testing.assert_close(logits, expected_logits[images, anchors].float())
    torch.testing.assert_close(deltas, expected_deltas[images, anchors].float())


def test_same_gradients(head, maps):
    """Of maps and weights, where outputs of other anchors have no part in the loss."""
    images, anchors = sample(40)
    gradients = []
    for run in (
        lambda: run_at_anchors(head, maps, AnchorIndices(images, anchors, anchors)),
        lambda: whole(head, maps),
    ):
        leaves = [level.requires_grad_() for level in maps] + list(head.parameters())
        logits, deltas = run()
        if logits.dim() == 2:
            logits, deltas = logits[images, anchors], deltas[images, anchors]
        weight = torch.linspace(-1, 1, len(logits), dtype=torch.double)
        loss = (logits.double() * weight).sum() + (deltas.double().square() * weight[:, None]).sum()
        gradients.append(torch.autograd.grad(loss, leaves))
    for gradient, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)
        assert expected.abs().max() > 0


def test_other_heads_are_left_to_detectron2(head):
    assert can_run_at_anchors(head)
    deeper = StandardRPNHead(in_channels=8, num_anchors=3, conv_dims=(8, 8))
    assert not can_run_at_anchors(deeper)
    assert not can_run_at_anchors(torch.nn.Identity())
