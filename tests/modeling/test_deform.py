import numpy as np
import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.backbone import resnet as detectron2_resnet
from detectron2.modeling.backbone.resnet import BasicBlock, BottleneckBlock
from torch.nn import functional

from paddlex_maskrcnn.modeling.deform import (
    DeformBasicBlock,
    DeformBottleneckBlock,
    ModulatedDeformConv,
)
from reference.deform_conv import deform_conv


def make_conv(**kwargs):
    torch.manual_seed(0)
    return ModulatedDeformConv(4, 6, 3, bias=False, **kwargs)


def random_inputs(conv, size=(5, 6), dtype=torch.float32):
    """Input, offsets up to two pixels (so some leave the image), mask."""
    x = torch.randn(2, conv.in_channels, *size, dtype=dtype)
    shape = functional.conv2d(
        x, conv.weight.to(dtype), None, conv.stride, conv.padding, conv.dilation, conv.groups
    ).shape
    taps = 9 * conv.deformable_groups
    offset = torch.randn(2, 2 * taps, *shape[2:], dtype=dtype)
    return x, offset, torch.rand(2, taps, *shape[2:], dtype=dtype)


@pytest.mark.parametrize("modulated", [True, False])
@pytest.mark.parametrize(
    "geometry",
    [
        {"padding": 1},
        {"padding": 1, "stride": 2, "groups": 2},
        {"padding": 2, "dilation": 2, "deformable_groups": 2},
    ],
    ids=["plain", "stride and groups", "dilation and deformable groups"],
)
def test_equals_the_definition(modulated, geometry):
    conv = make_conv(**geometry)
    x, offset, mask = random_inputs(conv)
    mask = mask if modulated else None
    expected = deform_conv(
        x.numpy(),
        offset.numpy(),
        None if mask is None else mask.numpy(),
        conv.weight.detach().numpy(),
        **{"stride": 1, "dilation": 1, "groups": 1, "deformable_groups": 1, **geometry},
    )
    np.testing.assert_allclose(conv(x, offset, mask).detach().numpy(), expected, atol=1e-5)


def test_without_offsets_it_is_a_convolution():
    conv = make_conv(padding=1)
    x, offset, mask = random_inputs(conv)
    out = conv(x, torch.zeros_like(offset), torch.ones_like(mask))
    torch.testing.assert_close(out, functional.conv2d(x, conv.weight, padding=1))


def test_numerical_gradients():
    """Of input, offsets, mask and weight, in double precision."""
    conv = ModulatedDeformConv(2, 2, 3, padding=1, bias=True).double()
    torch.manual_seed(1)
    inputs = random_inputs(conv, size=(3, 3), dtype=torch.float64)

    def run(x, offset, mask, weight):
        return torch.func.functional_call(conv, {"weight": weight}, (x, offset, mask))

    leaves = [part.detach().requires_grad_() for part in (*inputs, conv.weight)]
    assert torch.autograd.gradcheck(run, leaves)


def test_under_autocast_positions_keep_full_precision():
    """Half precision in and out, but sampling at float32 positions; gradients reach everything."""
    conv = make_conv(padding=1)
    x, offset, mask = random_inputs(conv)
    offset = offset.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = conv(x.bfloat16(), offset, mask)
    assert out.dtype == torch.bfloat16
    exact = conv(x.bfloat16().float(), offset, mask)
    assert torch.equal(out, exact.bfloat16())
    out.float().sum().backward()
    assert conv.weight.grad.dtype == torch.float32
    assert offset.grad.abs().sum() > 0


def test_no_images():
    conv = make_conv(padding=1)
    x, offset, mask = random_inputs(conv)
    assert conv(x[:0], offset[:0], mask[:0]).shape == (0, 6, 5, 6)


def test_norm_and_activation_follow():
    conv = ModulatedDeformConv(
        4, 6, 3, padding=1, norm=FrozenBatchNorm2d(6), activation=functional.relu
    )
    conv.norm.bias.fill_(-0.1)
    x, offset, mask = random_inputs(conv)
    plain = conv._sample_and_weight(x, offset, mask)
    torch.testing.assert_close(conv(x, offset, mask), functional.relu(plain - 0.1))


def randomise(module):
    torch.manual_seed(2)
    for tensor in [*module.parameters(), *module.buffers()]:
        tensor.data.uniform_(0.05, 0.3).mul_(torch.rand_like(tensor).sub_(0.3).sign_())
    for name, buffer in module.named_buffers():
        if name.endswith("running_var"):
            buffer.abs_()
    return module.eval()


@pytest.mark.parametrize("modulated", [True, False], ids=["version 2", "version 1"])
@pytest.mark.parametrize("groups", [1, 2])
def test_block_is_detectron2s(monkeypatch, modulated, groups):
    """Same keys and, with the same tensors, the same output as the block of Detectron2.

    Its own forward runs here, with our operator in the place of its compiled one: this pins down
    how offsets and mask are laid out in the channels of conv2_offset.
    """
    monkeypatch.setattr(detectron2_resnet, "ModulatedDeformConv", ModulatedDeformConv)
    monkeypatch.setattr(detectron2_resnet, "DeformConv", ModulatedDeformConv)
    settings = {
        "bottleneck_channels": 4,
        "stride": 2,
        "norm": "FrozenBN",
        "deform_modulated": modulated,
        "deform_num_groups": groups,
    }
    theirs = randomise(detectron2_resnet.DeformBottleneckBlock(6, 8, **settings))
    ours = DeformBottleneckBlock(6, 8, **settings).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 6, 8, 8)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(ours(x), ours(x + 0.1))


@pytest.mark.parametrize(
    ("deformable", "plain", "settings"),
    [
        (DeformBottleneckBlock, BottleneckBlock, {"bottleneck_channels": 4}),
        (DeformBasicBlock, BasicBlock, {}),
    ],
)
def test_new_block_is_the_plain_one_with_its_convolution_halved(deformable, plain, settings):
    """Zero offsets and a mask of 0.5; once the mask is 1, the block is the plain one."""
    ours = deformable(4, 8, stride=2, norm="", **settings)
    theirs = plain(4, 8, stride=2, norm="", **settings)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    theirs.conv2.weight.data *= 0.5
    x = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(ours(x), theirs(x))
    theirs.conv2.weight.data *= 2
    ours.conv2_offset.bias.data[18:] = 100.0
    torch.testing.assert_close(ours(x), theirs(x))


def test_offsets_are_trained():
    block = DeformBottleneckBlock(4, 8, bottleneck_channels=4, norm="FrozenBN")
    block(torch.randn(1, 4, 6, 6)).square().sum().backward()
    gradient = block.conv2_offset.weight.grad
    assert gradient[:18].abs().sum() > 0
    assert gradient[18:].abs().sum() > 0


@pytest.mark.gpu
def test_gpu_equals_cpu():
    conv = make_conv(padding=1, stride=2)
    inputs = random_inputs(conv)
    expected = conv(*inputs)
    on_gpu = [part.cuda() for part in inputs]
    conv = conv.cuda()
    torch.testing.assert_close(conv(*on_gpu).cpu(), expected, rtol=1e-4, atol=1e-4)
    with torch.autocast("cuda", dtype=torch.float16):
        half = conv(on_gpu[0].half(), *on_gpu[1:])
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float().cpu(), expected, rtol=1e-2, atol=1e-2)
