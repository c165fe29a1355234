"""HRNet and its pyramid."""

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone

from paddlex_maskrcnn.modeling.hrnet import HRFPN, HRNet


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


def test_registered_network(make_backbone_cfg):
    network = build(make_backbone_cfg(), channels=4)
    with torch.no_grad():
        outputs = network(torch.randn(1, 4, 64, 64))
    shapes = network.output_shape()
    assert list(outputs) == list(shapes) == ["p2", "p3", "p4", "p5", "p6"]
    for name, shape in shapes.items():
        assert outputs[name].shape == (1, 16, 64 // shape.stride, 64 // shape.stride)
    assert network.size_divisibility == 32


def test_frozen_norms_leave_all_convolutions_trainable(make_backbone_cfg):
    """PaddleX's setting: every convolution learns, no norm does."""
    network = build(make_backbone_cfg()).bottom_up
    names = [name for name, _ in network.named_parameters()]
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(".norm." in name for name in names)
    assert any(isinstance(module, FrozenBatchNorm2d) for module in network.modules())


def test_frozen_parts(make_backbone_cfg):
    network = build(make_backbone_cfg(HRNET__NORM="BN", BACKBONE__FREEZE_AT=3)).bottom_up
    frozen = {n.split(".")[0] for n, p in network.named_parameters() if not p.requires_grad}
    trained = {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert frozen == {"stem", "stage1", "transition1", "stage2"}
    assert trained == {"transition2", "stage3", "transition3", "stage4"}
    assert isinstance(network.stage2[0].fuse[0][1][0].norm, FrozenBatchNorm2d)
    assert isinstance(network.transition2.norm, torch.nn.BatchNorm2d)


@pytest.mark.parametrize("norm", ["BN", "SyncBN", "GN"])
def test_norms(make_backbone_cfg, norm):
    """Each trains a step, 18 and 36 channels included, which 32 groups do not divide."""
    network = build(make_backbone_cfg(HRNET__NORM=norm)).train()
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
def test_impossible_settings_are_named(make_backbone_cfg, settings, message):
    cfg = make_backbone_cfg(**settings)
    with pytest.raises(ValueError, match=message):
        build(cfg)


CHANNELS = (2, 3, 4, 5)


class FixedMaps(Backbone):
    """A backbone that returns the maps it was made with."""

    def __init__(self, maps):
        super().__init__()
        self.maps = maps
        self._out_features = [f"res{i}" for i in range(2, 6)]
        self._out_feature_channels = {f"res{i + 2}": m.shape[1] for i, m in enumerate(maps)}
        self._out_feature_strides = {f"res{i + 2}": 4 * 2**i for i in range(4)}

    @property
    def size_divisibility(self):
        return 32

    def forward(self, x):
        return dict(zip(self._out_features, self.maps, strict=True))


def random_maps(height, width):
    torch.manual_seed(0)
    return [
        torch.randn(1, channels, -(-height // 2**i), -(-width // 2**i))
        for i, channels in enumerate(CHANNELS)
    ]


def set_identity(conv, channels):
    """Make a convolution pass its first channels on."""
    conv.weight.data.zero_()
    centre = conv.weight.shape[-1] // 2
    for i in range(channels):
        conv.weight.data[i, i, centre, centre] = 1


def test_levels_are_averages_of_the_reduced_map():
    neck = HRFPN(FixedMaps(random_maps(16, 32)), out_channels=14)
    set_identity(neck.reduction, 14)
    for level in range(2, 7):
        set_identity(neck.get_submodule(f"fpn_output{level}"), 14)
    levels = neck(None)
    assert torch.equal(levels["p2"][:, :2], neck.bottom_up.maps[0])
    for i in range(1, 5):
        size = 2**i
        blocks = levels["p2"].unfold(2, size, size).unfold(3, size, size)
        torch.testing.assert_close(levels[f"p{i + 2}"], blocks.mean(dim=(-2, -1)))
    assert [s.stride for s in neck.output_shape().values()] == [4, 8, 16, 32, 64]


def test_coarse_maps_stay_registered():
    """A ramp across the image, seen by all branches, is the same ramp after enlarging.

    With align_corners it would be stretched, by almost half a coarse pixel at the borders.
    """
    fine = torch.arange(32.0).expand(1, 1, 16, 32)
    maps = [torch.nn.functional.avg_pool2d(fine, 2**i) for i in range(4)]
    neck = HRFPN(FixedMaps(maps), out_channels=4)
    set_identity(neck.reduction, 4)
    set_identity(neck.fpn_output2, 4)
    enlarged = neck(None)["p2"]
    inside = enlarged[..., 4:-4]  # nothing beyond the centre of the coarsest border pixels
    torch.testing.assert_close(inside, fine[..., 4:-4].expand(1, 4, 16, 24))


def test_borders_that_do_not_fill_a_window_count():
    """Stride-4 map of 8x24: p6 has two columns, the second averaging the last eight pixels."""
    neck = HRFPN(FixedMaps(random_maps(8, 24)), out_channels=14)
    set_identity(neck.reduction, 14)
    for level in (2, 6):
        set_identity(neck.get_submodule(f"fpn_output{level}"), 14)
    levels = neck(None)
    assert levels["p6"].shape[-2:] == (1, 2)
    torch.testing.assert_close(levels["p6"][0, :, 0, 1], levels["p2"][0, :, :, 16:].mean((-2, -1)))


def test_convolutions_are_as_documented():
    """1x1 and per-level 3x3, none with a bias; Xavier fill."""
    neck = HRFPN(FixedMaps(random_maps(8, 8)), out_channels=64)
    assert neck.reduction.weight.shape == (64, sum(CHANNELS), 1, 1)
    outputs = [neck.get_submodule(f"fpn_output{level}") for level in range(2, 7)]
    assert all(conv.weight.shape == (64, 64, 3, 3) for conv in outputs)
    assert not any(name.endswith("bias") for name, _ in neck.named_parameters())
    limit = (3 / (64 * 9)) ** 0.5
    assert neck.fpn_output3.weight.detach().abs().max().item() == pytest.approx(limit, rel=0.01)


def test_norm_after_each_convolution():
    neck = HRFPN(FixedMaps(random_maps(8, 8)), out_channels=32, norm="GN")
    assert isinstance(neck.reduction.norm, torch.nn.GroupNorm)
    assert isinstance(neck.fpn_output6.norm, torch.nn.GroupNorm)


def test_gradients_reach_every_map():
    maps = [m.requires_grad_() for m in random_maps(16, 16)]
    neck = HRFPN(FixedMaps(maps), out_channels=8)
    neck(None)["p6"].sum().backward()
    assert all(m.grad.abs().sum() > 0 for m in maps)
