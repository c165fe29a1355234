import pytest
import torch
from detectron2.modeling import Backbone

from paddlex_maskrcnn.modeling.necks.hrfpn import HRFPN

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
