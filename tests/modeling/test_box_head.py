"""The box head that reads regions channels last."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.box_head import FastRCNNConvFCHead

from paddlex_maskrcnn.modeling.box_head import FastBoxHead, read_channels_last
from paddlex_maskrcnn.modeling.fast_path import plain_path


def head(convs: int = 0, fcs: int = 2) -> FastRCNNConvFCHead:
    shape = ShapeSpec(channels=8, height=7, width=7)
    made = FastRCNNConvFCHead(shape, conv_dims=[8] * convs, fc_dims=[16] * fcs)
    for layer in made.fcs:
        torch.nn.init.normal_(layer.bias)
    read_channels_last(made)
    return made


def regions(count: int, layout: torch.memory_format) -> torch.Tensor:
    x = torch.randn(count, 8, 7, 7, generator=torch.Generator().manual_seed(count))
    return x.contiguous(memory_format=layout)


@pytest.mark.parametrize("count", [0, 1, 30])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("convs", "fcs"), [(0, 2), (1, 1), (2, 0)])
def test_equals_detectron2s(count, layout, convs, fcs):
    made, x = head(convs, fcs).eval(), regions(count, layout)
    with torch.no_grad():
        found = made(x)
        with plain_path():
            expected = made(x)
    assert type(made) is FastBoxHead
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_plain_path_is_detectron2s_bit_for_bit():
    made, x = head(), regions(5, torch.channels_last)
    with plain_path(), torch.no_grad():
        assert torch.equal(made(x), FastRCNNConvFCHead.forward(made, x))


def test_gradients_take_detectron2s_way():
    made, x = head(), regions(5, torch.channels_last).requires_grad_()
    assert torch.equal(made(x), FastRCNNConvFCHead.forward(made, x))
    made(x).sum().backward()
    assert made.fc1.weight.grad is not None
    assert x.grad is not None


@pytest.mark.parametrize("change", ["in place", "data", "state dict"])
def test_new_weights_are_seen(change):
    made, x = head().eval(), regions(5, torch.channels_last)
    with torch.no_grad():
        before = made(x)
        if change == "in place":
            made.fc1.weight.mul_(2)
        elif change == "data":
            made.fc1.weight.data = made.fc1.weight.data * 2
        else:
            state = made.state_dict()
            made.load_state_dict({**state, "fc1.weight": state["fc1.weight"] * 2})
        found = made(x)
        with plain_path():
            torch.testing.assert_close(found, made(x), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before, found)


def test_what_was_kept_in_inference_mode_serves_with_gradients_too():
    made, x = head().eval(), regions(5, torch.channels_last)
    with torch.inference_mode():
        found = made(x)
    assert not made._kept["convolution"][1].is_inference()
    torch.testing.assert_close(made(x), found, rtol=1e-4, atol=1e-5)


def test_a_head_of_another_kind_stays():
    other = torch.nn.Linear(2, 2)
    read_channels_last(other)
    assert type(other) is torch.nn.Linear
    read_channels_last(None)
