"""ResNets of every depth and variant."""

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.roi_heads import Res5ROIHeads

from paddlex_maskrcnn.modeling.deform import ModulatedDeformConv
from paddlex_maskrcnn.modeling.resnet import DeepStem, PooledConv2d, build_res5_stage


def test_pooled_shortcut_averages_what_is_there():
    """A 3x3 map becomes 2x2: full windows, and at the border the pixels that exist."""
    shortcut = PooledConv2d(1, 1, kernel_size=1, bias=False, pool=2)
    torch.nn.init.ones_(shortcut.weight)
    x = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]).view(1, 1, 3, 3)
    expected = torch.tensor([[3.0, 4.5], [7.5, 9.0]])
    torch.testing.assert_close(shortcut(x)[0, 0], expected)


def test_deep_stem_widths_and_stride():
    stem = DeepStem(3, 64, norm="BN")
    assert [layer.out_channels for layer in (stem.conv1, stem.conv2, stem.conv3)] == [32, 32, 64]
    assert stem(torch.randn(1, 3, 32, 64)).shape == (1, 64, 8, 16)
    assert stem.stride == 4


ALL_BUT_RES2 = [False, True, True, True]


def build(cfg, name="build_resnet_variant_backbone", channels=3):
    torch.manual_seed(0)
    return BACKBONE_REGISTRY.get(name)(cfg, ShapeSpec(channels=channels))


def assert_same_network(ours, theirs, x):
    """Same names, same initial values from the same seed, same outputs, all bit for bit."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for mine, its in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(mine, its)
    assert {n for n, p in ours.named_parameters() if p.requires_grad} == {
        n for n, p in theirs.named_parameters() if p.requires_grad
    }
    mine, its = ours(x), theirs(x)
    assert ours.output_shape() == theirs.output_shape()
    assert list(mine) == list(its)
    for name in its:
        assert torch.equal(mine[name], its[name])


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 18},
        {"depth": 18, "RESNETS__OUT_FEATURES": ["res4"], "BACKBONE__FREEZE_AT": 2},
        {"depth": 50, "RESNETS__NORM": "BN", "BACKBONE__FREEZE_AT": 2},
        {"depth": 50, "RESNETS__STRIDE_IN_1X1": True, "RESNETS__OUT_FEATURES": ["stem", "res4"]},
        {"depth": 50, "RESNETS__RES5_DILATION": 2, "RESNETS__NUM_GROUPS": 2},
    ],
    ids=str,
)
def test_variant_b_is_detectron2s_resnet(make_backbone_cfg, settings):
    cfg = make_backbone_cfg(**settings)
    ours, theirs = build(cfg), build(cfg, "build_resnet_backbone")
    assert_same_network(ours, theirs, torch.randn(1, 3, 64, 64))


def test_fpn_is_detectron2s(make_backbone_cfg):
    cfg = make_backbone_cfg(18)
    ours = build(cfg, "build_resnet_variant_fpn_backbone")
    theirs = build(cfg, "build_resnet_fpn_backbone")
    assert_same_network(ours, theirs, torch.randn(1, 3, 64, 64))
    assert ours.size_divisibility == theirs.size_divisibility == 32


@pytest.mark.parametrize("stride_in_1x1", [True, False])
def test_res5_head_is_detectron2s(make_backbone_cfg, stride_in_1x1):
    cfg = make_backbone_cfg(50, RESNETS__STRIDE_IN_1X1=stride_in_1x1)
    torch.manual_seed(0)
    theirs, their_channels = Res5ROIHeads._build_res5_block(cfg)
    torch.manual_seed(0)
    ours, channels = build_res5_stage(cfg, 1024)
    x = torch.randn(2, 1024, 6, 6)
    assert channels == their_channels == 2048
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("depth", "variant", "in_channels", "out_channels", "num_blocks"),
    [(18, "b", 256, 512, 2), (18, "d", 256, 512, 2), (50, "d", 1024, 2048, 3)],
)
def test_res5_head_of_each_network(
    make_backbone_cfg, depth, variant, in_channels, out_channels, num_blocks
):
    """It is the res5 a backbone with pyramid would have, 14x14 to 7x7."""
    cfg = make_backbone_cfg(depth, variant, RESNETS__NORM="BN")
    head, channels = build_res5_stage(cfg, in_channels)
    assert (channels, len(head)) == (out_channels, num_blocks)
    assert head(torch.randn(1, in_channels, 14, 14)).shape == (1, out_channels, 7, 7)
    backbone = build(cfg)
    assert list(head.state_dict()) == list(backbone.res5.state_dict())
    assert isinstance(head[0].shortcut, PooledConv2d) == (variant == "d")


def test_res5_head_refuses_deformable_blocks(make_backbone_cfg):
    cfg = make_backbone_cfg(50, RESNETS__DEFORM_ON_PER_STAGE=ALL_BUT_RES2)
    with pytest.raises(ValueError, match=r"MODEL\.RESNETS\.DEFORM_ON_PER_STAGE.*res5"):
        build_res5_stage(cfg, 1024)


def test_variant_d_pools_exactly_the_strided_shortcuts(make_backbone_cfg):
    network = build(make_backbone_cfg(50, "d"))
    pooled = [name for name, layer in network.named_modules() if isinstance(layer, PooledConv2d)]
    assert pooled == ["res3.0.shortcut", "res4.0.shortcut", "res5.0.shortcut"]


@pytest.mark.parametrize(("depth", "variant"), [(18, "b"), (50, "b"), (50, "d")])
def test_deformable_stages(make_backbone_cfg, depth, variant):
    """Every block of the chosen stages, none elsewhere; the network still runs forward and back."""
    cfg = make_backbone_cfg(
        depth,
        variant,
        RESNETS__DEFORM_ON_PER_STAGE=[False, True, True, False],
        RESNETS__DEFORM_MODULATED=True,
        RESNETS__OUT_FEATURES=["res4"],
    )
    network = build(cfg)
    deformable = {
        name for name, layer in network.named_modules() if isinstance(layer, ModulatedDeformConv)
    }
    blocks = [f"res3.{i}" for i in range(len(network.res3))]
    blocks += [f"res4.{i}" for i in range(len(network.res4))]
    assert deformable == {f"{block}.conv2" for block in blocks}
    network(torch.randn(1, 3, 64, 64))["res4"].mean().backward()
    assert network.res4[-1].conv2_offset.weight.grad.abs().sum() > 0
    assert network.res4[-1].conv2_offset.weight.shape[0] == 27


def test_version_1_offsets(make_backbone_cfg):
    """DEFORM_MODULATED off, as in Detectron2's published dconv models: 18 offset channels."""
    cfg = make_backbone_cfg(50, RESNETS__DEFORM_ON_PER_STAGE=ALL_BUT_RES2)
    assert build(cfg).res5[0].conv2_offset.weight.shape == (18, 512, 3, 3)


@pytest.mark.parametrize("freeze_at", [0, 1, 2, 3])
def test_frozen_stages(make_backbone_cfg, freeze_at):
    cfg = make_backbone_cfg(18, "d", RESNETS__NORM="BN", BACKBONE__FREEZE_AT=freeze_at)
    network = build(cfg)
    parts = [network.stem, network.res2, network.res3, network.res4, network.res5]
    for place, part in enumerate(parts):
        frozen = place < freeze_at
        assert all(parameter.requires_grad != frozen for parameter in part.parameters())
        norms = [m for m in part.modules() if hasattr(m, "running_mean")]
        assert all(isinstance(norm, FrozenBatchNorm2d) == frozen for norm in norms)


@pytest.mark.parametrize("norm", ["FrozenBN", "BN", "SyncBN", "GN"])
def test_norms(make_backbone_cfg, norm):
    """Each norm trains a step of a deformable ResNet-D and is of the class its name says."""
    classes = {
        "FrozenBN": FrozenBatchNorm2d,
        "BN": torch.nn.BatchNorm2d,
        "SyncBN": torch.nn.SyncBatchNorm,
        "GN": torch.nn.GroupNorm,
    }
    cfg = make_backbone_cfg(
        18, "d", RESNETS__NORM=norm, RESNETS__DEFORM_ON_PER_STAGE=[False, False, False, True]
    )
    network = build(cfg).train()
    for layer in (network.stem.conv3, network.res3[0].shortcut, network.res5[0].conv2):
        assert type(layer.norm) is classes[norm]
    network(torch.randn(2, 3, 64, 64))["res5"].square().mean().backward()
    assert network.stem.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("variant", ["b", "d"])
def test_other_numbers_of_input_channels(make_backbone_cfg, variant):
    network = build(make_backbone_cfg(18, variant), channels=5)
    assert network(torch.randn(1, 5, 32, 32))["res5"].shape == (1, 512, 1, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 20}, r"MODEL\.RESNETS\.DEPTH: 20 .*18, 34, 50, 101, 152"),
        ({"variant": "c"}, r"MODEL\.RESNETS\.VARIANT: 'c' .*'b', 'd'"),
        (
            {"RESNETS__NORM": "LN"},
            r"MODEL\.RESNETS\.NORM: 'LN' .*FrozenBN, BN, SyncBN, naiveSyncBN, GN",
        ),
        ({"RESNETS__RES2_OUT_CHANNELS": 256}, r"MODEL\.RESNETS\.RES2_OUT_CHANNELS: 256 .*64"),
        ({"RESNETS__NUM_GROUPS": 2}, r"MODEL\.RESNETS\.NUM_GROUPS: 2 .*1"),
        ({"RESNETS__RES5_DILATION": 2}, r"MODEL\.RESNETS\.RES5_DILATION: 2 .*1"),
        ({"RESNETS__DEFORM_ON_PER_STAGE": [True]}, r"DEFORM_ON_PER_STAGE: got \[True\].*four"),
    ],
)
def test_impossible_settings_are_named(make_backbone_cfg, settings, message):
    cfg = make_backbone_cfg(**settings)
    with pytest.raises(ValueError, match=message):
        build(cfg)
