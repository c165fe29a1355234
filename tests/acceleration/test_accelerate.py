"""Accelerating a network, its inverse, and who may compute in the faster form."""

import copy
import pickle

import pytest
import torch
from detectron2.layers import Conv2d
from torch import nn

from paddlex_maskrcnn.acceleration import accelerate, plain
from paddlex_maskrcnn.acceleration.accelerate import FASTER
from paddlex_maskrcnn.acceleration.guard import is_faster_here
from support.untrained import load, save_untrained


def types_of(network):
    return [type(component) for component in network.modules()]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A loaded model's, which is accelerated."""
    return load(save_untrained(tmp_path_factory.mktemp("untrained"))).network.module


def test_a_built_network_is_accelerated(network):
    assert not set(types_of(network)) & set(FASTER)
    assert set(types_of(network)) & set(FASTER.values())


def test_plain_is_the_inverse(network):
    accelerated = types_of(network)
    network = copy.deepcopy(network)
    assert plain(network) is network
    assert not set(types_of(network)) & set(FASTER.values())
    assert types_of(accelerate(network)) == accelerated
    assert types_of(accelerate(network)) == accelerated


def test_names_and_values_stay(network):
    copied = plain(copy.deepcopy(network))
    ours, theirs = network.state_dict(), copied.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_subclasses_compute_something_else_and_stay():
    class Other(Conv2d):
        pass

    assert types_of(accelerate(nn.Sequential(Other(1, 1, 1))))[1] is Other


def test_pickled_as_it_is():
    again = pickle.loads(pickle.dumps(accelerate(Conv2d(1, 1, 1))))
    assert type(again) is FASTER[Conv2d]


@pytest.mark.parametrize(
    ("value", "stays_plain"),
    [("1", True), ("true", True), ("0", False), ("off", False), ("False", False), ("", False)],
)
def test_the_environment_may_ask_for_plain(monkeypatch, value, stays_plain):
    monkeypatch.setenv("PADDLEX_MASKRCNN_PLAIN", value)
    assert (type(accelerate(Conv2d(1, 1, 1))) is Conv2d) is stays_plain


def test_faster_on_a_cpu_in_32_bits():
    assert is_faster_here(torch.zeros(1))
    assert not is_faster_here(torch.zeros(1, dtype=torch.bfloat16))
    assert not is_faster_here(torch.zeros(1, dtype=torch.float64))
    assert not is_faster_here(torch.zeros(1, device="meta"))


def test_tracing_sees_detectron2s_operators():
    seen = []

    def look(x):
        seen.append(is_faster_here(x))
        return x + 1

    torch.jit.trace(look, torch.zeros(1), check_trace=False)
    assert seen == [False]
