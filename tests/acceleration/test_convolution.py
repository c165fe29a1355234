"""Folded norms against Detectron2's layer, and when they are computed anew."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn

from paddlex_maskrcnn.acceleration import accelerate
from paddlex_maskrcnn.acceleration.convolution import FoldedConv2d
from support.plain_path import plain_path


def layer(norm=FrozenBatchNorm2d, kernel=3, stride=1, groups=1, bias=False, channels=8):
    torch.manual_seed(0)
    parts = {"norm": norm(channels) if norm else None, "activation": nn.ReLU(), "bias": bias}
    conv = Conv2d(channels, channels, kernel, stride, kernel // 2, groups=groups, **parts)
    for value in conv.norm.state_dict().values() if norm else ():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    net = accelerate(nn.Sequential(conv))
    assert type(net[0]) is FoldedConv2d
    return net


CASES = [
    {},
    {"bias": True},
    {"kernel": 1},
    {"stride": 2},
    {"groups": 4},
    {"norm": None, "bias": True},
    {"norm": nn.BatchNorm2d},
]


def compare(net, x):
    with torch.no_grad():
        output = net(x)
        with plain_path(net):
            torch.testing.assert_close(output, net(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("settings", CASES, ids=str)
def test_gradients_are_the_plain_layers(settings, training):
    """In training, and in eval() with gradients, as when a frozen network is looked into."""
    net = layer(**settings).train(training)
    x = torch.randn(2, 8, 9, 9)
    results = []
    for path in (plain_path, contextlib.nullcontext):
        pixels = x.clone().requires_grad_()
        net.zero_grad()
        with path(net):
            out = net(pixels)
        out.square().sum().backward()
        grads = [p.grad.clone() for p in net[0].parameters()]
        results.append([out.detach(), pixels.grad, *grads])
    assert net[0]._cached is None, "weights that can change were cached"
    for output, expected in zip(*results, strict=True):
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("pixels", "is_folded"), [(7, False), (8, False), (9, True)])
def test_folded_in_training_where_the_output_is_larger_than_the_weights(pixels, is_folded):
    """A map of 8x8 has as many numbers as the weights; the number of images must not decide."""
    net = layer().train()
    output = net(torch.randn(3, 8, pixels, pixels))
    convolution = output.grad_fn.next_functions[0][0]
    assert (convolution.name() == "ConvolutionBackward0") is is_folded


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_cached_weights_follow_every_change(settings):
    """A step, loading, another device or averaged weights in place: nothing stale is used."""
    net = layer(**settings).eval()
    x = torch.randn(1, 8, 9, 9).contiguous(memory_format=torch.channels_last)
    other = copy.deepcopy(net.state_dict())
    for value in other.values():
        if value.is_floating_point():
            value.mul_(2)
    compare(net, x)
    with torch.no_grad():
        net[0].weight.add_(1)
    compare(net, x)
    net.load_state_dict(other)
    compare(net, x)
    net.load_state_dict({k: v * 2 for k, v in other.items()}, assign=True)
    compare(net, x)
    net[0].weight.data = net[0].weight.data.clone() * 3
    compare(net, x)
    if net[0].norm is not None:
        net[0].norm.running_mean.add_(1)
        compare(net, x)


@pytest.mark.parametrize("changed_by", ["fused", "data"])
def test_cached_weights_follow_changes_that_raise_no_version(changed_by):
    """Steps of fused optimizers and writes to `.data`: they belong to training."""
    net = layer().eval()
    x = torch.randn(1, 8, 9, 9)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, fused=True)
    for _ in range(2):
        compare(net, x)
        net.train()
        if changed_by == "fused":
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
        else:
            net[0].weight.data.mul_(-1.5)
        net.eval()
    compare(net, x)


def test_folded_in_evaluation_and_cached():
    net = layer().eval()
    with torch.no_grad():
        net(torch.randn(1, 8, 9, 9))
        cached = net[0]._cached
        net(torch.randn(1, 8, 9, 9))
    assert cached is not None
    assert not any(tensor.requires_grad for tensor in cached[1]), "a graph could not be copied"
    copy.deepcopy(net)
    assert net[0]._cached is cached
    assert net.train()[0]._cached is None
    net(torch.randn(1, 8, 9, 9))
    assert net[0]._cached is None


def test_inference_mode():
    """Weights made in it do not count their changes: nothing is cached for them."""
    with torch.inference_mode():
        net = layer().eval()
        compare(net, torch.randn(1, 8, 9, 9))
        net[0].weight.mul_(2)
        compare(net, torch.randn(1, 8, 9, 9))


def test_live_statistics_are_not_folded():
    net = layer(norm=nn.BatchNorm2d).train()
    before = net[0].norm.running_mean.clone()
    net(torch.randn(4, 8, 5, 5))
    assert not torch.equal(net[0].norm.running_mean, before)


def test_state_dict_is_detectron2s():
    net = layer()
    with torch.no_grad():
        net.eval()(torch.randn(1, 8, 5, 5))
    names = [
        "0.weight",
        *(f"0.norm.{k}" for k in ("weight", "bias", "running_mean", "running_var")),
    ]
    assert list(net.state_dict()) == names
