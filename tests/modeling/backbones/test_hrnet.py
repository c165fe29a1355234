import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY

from paddlex_maskrcnn.modeling.backbones.hrnet import HRNet


def build(cfg, channels=3):
    torch.manual_seed(0)
    return BACKBONE_REGISTRY.get("build_hrnet_hrfpn_backbone")(cfg, ShapeSpec(channels=channels))


def test_outputs():
    network = HRNet(norm="FrozenBN")
    shapes = {name: (s.channels, s.stride) for name, s in network.output_shape().items()}
    assert shapes == {"res2": (18, 4), "res3": (36, 8), "res4": (72, 16), "res5": (144, 32)}
    with torch.no_grad():
        outputs = network(torch.randn(1, 3, 64, 96))
    for name, (channels, stride) in shapes.items():
        assert outputs[name].shape == (1, channels, 64 // stride, 96 // stride)
    assert network.size_divisibility == 32


def test_sizes_that_are_no_multiple_of_32():
    with torch.no_grad():
        outputs = HRNet(norm="FrozenBN")(torch.randn(1, 3, 40, 52))
    assert [tuple(x.shape[-2:]) for x in outputs.values()] == [(10, 13), (5, 7), (3, 4), (2, 2)]


def test_registered_network(make_cfg):
    network = build(make_cfg(), channels=4)
    with torch.no_grad():
        outputs = network(torch.randn(1, 4, 64, 64))
    shapes = network.output_shape()
    assert list(outputs) == list(shapes) == ["p2", "p3", "p4", "p5", "p6"]
    for name, shape in shapes.items():
        assert outputs[name].shape == (1, 16, 64 // shape.stride, 64 // shape.stride)
    assert network.size_divisibility == 32


def test_frozen_norms_leave_all_convolutions_trainable(make_cfg):
    """PaddleX's setting: every convolution learns, no norm does."""
    network = build(make_cfg()).bottom_up
    names = [name for name, _ in network.named_parameters()]
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(".norm." in name for name in names)
    assert any(isinstance(module, FrozenBatchNorm2d) for module in network.modules())


def test_frozen_parts(make_cfg):
    network = build(make_cfg(HRNET__NORM="BN", BACKBONE__FREEZE_AT=3)).bottom_up
    frozen = {n.split(".")[0] for n, p in network.named_parameters() if not p.requires_grad}
    trained = {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert frozen == {"stem", "stage1", "transition1", "stage2"}
    assert trained == {"transition2", "stage3", "transition3", "stage4"}
    assert isinstance(network.stage2[0].fuse[0][1][0].norm, FrozenBatchNorm2d)
    assert isinstance(network.transition2.norm, torch.nn.BatchNorm2d)


@pytest.mark.parametrize("norm", ["BN", "SyncBN", "GN"])
def test_norms(make_cfg, norm):
    """Each trains a step, 18 and 36 channels included, which 32 groups do not divide."""
    network = build(make_cfg(HRNET__NORM=norm)).train()
    network(torch.randn(2, 3, 64, 64))["p6"].square().mean().backward()
    norms = {type(module).__name__ for module in network.modules() if "Norm" in str(type(module))}
    assert norms == {{"BN": "BatchNorm2d", "SyncBN": "SyncBatchNorm", "GN": "GroupNorm"}[norm]}
    assert network.bottom_up.stem.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"HRNET__NORM": "XX"}, r"MODEL\.HRNET\.NORM: 'XX' .*FrozenBN"),
        ({"BACKBONE__FREEZE_AT": 6}, r"MODEL\.BACKBONE\.FREEZE_AT: got 6; .*0 to 5"),
    ],
)
def test_impossible_settings_are_named(make_cfg, settings, message):
    cfg = make_cfg(**settings)
    with pytest.raises(ValueError, match=message):
        build(cfg)
