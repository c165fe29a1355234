"""Weights in another order in memory: the same values, names, losses and optimizer steps."""

import contextlib
import copy

import pytest
import torch
from torch import channels_last as last
from torch import nn

from paddlex_maskrcnn.engine.device import (
    channels_first,
    channels_last,
    match_layouts,
    usual_layout,
    wants_channels_last,
)
from paddlex_maskrcnn.engine.optimizer import Ema


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))


def sgd(module):
    return torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, fused=True)


def take_step(module, optimizer, x):
    optimizer.zero_grad()
    module(x).square().mean().backward()
    optimizer.step()


def test_only_a_gpu_in_16_bits_wants_it():
    cases = [("cuda", "bf16"), ("cuda", "fp16"), ("cuda", "off"), ("cpu", "bf16")]
    found = [wants_channels_last(torch.device(device), amp) for device, amp in cases]
    assert found == [True, True, False, False]


def test_values_names_and_parameters_stay():
    module = network()
    before, parameters = copy.deepcopy(module.state_dict()), list(module.parameters())
    channels_last(module)
    assert module[0].weight.is_contiguous(memory_format=last)
    assert not module[0].weight.is_contiguous()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(a is b for a, b in zip(module.parameters(), parameters, strict=True))
    channels_first(module)
    assert all(one.is_contiguous() for one in module.state_dict().values())


@pytest.mark.parametrize("decay", [None, 0.5])
def test_evaluation_in_between_has_the_usual_order(decay):
    """With averaged weights too: what trains and its average go on in the order they had."""
    module, plain = network(), network()
    channels_last(module)
    ema = Ema(module, decay) if decay else None
    optimizer, expected = sgd(module), sgd(plain)
    for _ in range(3):
        x = torch.rand(2, 3, 12, 12)
        take_step(module, optimizer, x)
        take_step(plain, expected, x)
        if ema:
            ema.update()
        with ema.averaged() if ema else contextlib.nullcontext(), usual_layout(module):
            assert module[0].weight.is_contiguous()
        assert module[0].weight.is_contiguous(memory_format=last)
        assert not module[0].weight.is_contiguous()
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], msg=name)
    with usual_layout(plain):
        pass
    assert plain[0].weight.is_contiguous(), "nothing to put back"


def test_training_is_the_same_up_to_rounding():
    plain, other = network(), network()
    channels_last(other)
    optimizers = sgd(plain), sgd(other)
    for _ in range(3):
        x = torch.rand(2, 3, 12, 12)
        take_step(plain, optimizers[0], x)
        take_step(other, optimizers[1], x.contiguous(memory_format=last))
    for name, value in other.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], msg=name)


@pytest.mark.parametrize("way", [channels_last, channels_first])
def test_momenta_of_a_checkpoint_take_the_order_of_the_weights(way):
    """Saved by a run in the other order; fused steps read both as they lie in memory."""
    saved, resumed, plain = network(), network(), network()
    if way is channels_first:
        channels_last(saved)
    optimizer, expected = sgd(saved), sgd(plain)
    x = torch.rand(2, 3, 12, 12)
    take_step(saved, optimizer, x)
    take_step(plain, expected, x)
    resumed.load_state_dict(saved.state_dict())
    way(resumed)
    fresh = sgd(resumed)
    fresh.load_state_dict(optimizer.state_dict())
    match_layouts(fresh)
    for parameter, kept in fresh.state.items():
        assert kept["momentum_buffer"].stride() == parameter.stride()
    take_step(resumed, fresh, x)
    take_step(plain, expected, x)
    for name, value in resumed.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], msg=name)


@pytest.mark.gpu
def test_fused_steps_on_a_gpu():
    plain, other = network().cuda(), network().cuda()
    channels_last(other)
    optimizers = sgd(plain), sgd(other)
    for _ in range(3):
        x = torch.rand(2, 3, 12, 12, device="cuda")
        take_step(plain, optimizers[0], x)
        take_step(other, optimizers[1], x)
    for name, value in other.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], rtol=1e-3, atol=1e-4, msg=name)
