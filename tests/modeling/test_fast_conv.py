"""Folded norms and Winograd's convolution against Detectron2's layer, and when they are renewed."""

from __future__ import annotations

import copy

import pytest
import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn
from torch.nn.functional import conv2d

from paddlex_maskrcnn.modeling.fast_conv import FastConv2d, fold_norms
from paddlex_maskrcnn.modeling.fast_path import plain_path
from paddlex_maskrcnn.modeling.winograd import convolve, pays, transformed_weight


def layer(norm=FrozenBatchNorm2d, kernel=3, stride=1, groups=1, bias=False, channels=8):
    torch.manual_seed(0)
    parts = {"norm": norm(channels) if norm else None, "activation": nn.ReLU(), "bias": bias}
    conv = Conv2d(channels, channels, kernel, stride, kernel // 2, groups=groups, **parts)
    for one in conv.norm.state_dict().values() if norm else ():
        if one.is_floating_point():
            one.uniform_(0.5, 1.5)
    both = nn.Sequential(conv)
    fold_norms(both)
    assert type(both[0]) is FastConv2d
    return both


CASES = [
    {},
    {"bias": True},
    {"kernel": 1},
    {"stride": 2},
    {"groups": 4},
    {"norm": None, "bias": True},
    {"norm": nn.BatchNorm2d},
]


@pytest.mark.parametrize("size", [3, 20], ids=["weights are larger", "output is larger"])
@pytest.mark.parametrize("settings", CASES, ids=str)
def test_gradients_equal_detectron2(settings, size):
    net = layer(**settings).eval()
    x = torch.randn(2, 8, size, size).contiguous(memory_format=torch.channels_last)
    results = []
    for path in (plain_path, None):
        pixels = x.clone().requires_grad_()
        net.zero_grad()
        if path is None:
            out = net(pixels)
        else:
            with path():
                out = net(pixels)
        out.square().sum().backward()
        results.append(
            [out, pixels.grad, *(p.grad.clone() for p in net[0].parameters(recurse=False))]
        )
    for found, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_kept_weights_follow_every_change(settings):
    """A step, loading, another device or averaged weights in place: nothing stale is used."""
    net = layer(**settings).eval()
    x = torch.randn(1, 8, 9, 9).contiguous(memory_format=torch.channels_last)
    other = copy.deepcopy(net.state_dict())
    for one in other.values():
        if one.is_floating_point():
            one.mul_(2)

    def is_current():
        with torch.no_grad():
            found = net(x)
            with plain_path():
                torch.testing.assert_close(found, net(x), rtol=1e-4, atol=1e-4)

    is_current()
    with torch.no_grad():
        net[0].weight.add_(1)
    is_current()
    net.load_state_dict(other)
    is_current()
    net[0].weight.data = net[0].weight.data.clone() * 3
    is_current()
    if net[0].norm is not None:
        net[0].norm.running_mean.add_(1)
        is_current()


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


@pytest.mark.parametrize(
    "shape", [(1, 4, 4), (3, 14, 14), (2, 9, 50), (40, 7, 7), (1, 30, 200)], ids=str
)
def test_winograd_equals_direct_convolution(shape):
    """Whatever 4 does not divide, in one piece and in several; errors stay near rounding."""
    generator = torch.Generator().manual_seed(0)
    images, height, width = shape
    x = torch.randn(images, 16, height, width, generator=generator)
    weight = torch.randn(24, 16, 3, 3, generator=generator) / 12
    bias = torch.randn(24, generator=generator)
    found = convolve(x, transformed_weight(weight), bias)
    expected = conv2d(x.double(), weight.double(), bias.double(), padding=1)
    assert found.shape == expected.shape
    assert (found - expected).square().mean().sqrt() < 3e-6
    assert (found - expected).abs().max() < 5e-5


@pytest.mark.parametrize("shape", [(3, 14, 14), (1, 30, 200)], ids=str)
def test_winograd_clips_as_relu_would(shape):
    images, height, width = shape
    x, weight, bias = (
        torch.randn(images, 16, height, width),
        torch.randn(24, 16, 3, 3),
        torch.randn(24),
    )
    matrices = transformed_weight(weight)
    found = convolve(x, matrices, bias, relu=True)
    assert (found == 0).any()
    torch.testing.assert_close(found, convolve(x, matrices, bias).relu(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        ((100, 256, 14, 14), True),
        ((1, 256, 80, 120), True),
        ((1, 64, 80, 120), False),
        ((1, 256, 5, 5), False),
    ],
)
def test_winograd_is_for_large_work(shape, answer):
    assert pays(torch.empty(shape, device="meta"), 256) is answer


def test_large_layers_take_winograd_and_stay_equal():
    net = layer(channels=128).eval()
    x = torch.rand(1, 128, 24, 24).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        found = net(x)
        assert "matrices" in net[0]._kept
        with plain_path():
            torch.testing.assert_close(found, net(x), rtol=1e-3, atol=1e-4)
