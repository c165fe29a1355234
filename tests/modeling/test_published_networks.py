"""Our backbones compute what timm's and torchvision's do, given the same weights.

The weights are random, norms included; they travel through the key maps of `weights/keys`, and
loading is strict, so every tensor on either side has a counterpart.
"""

import pytest
import timm
import torch
import torchvision
from detectron2.layers import ShapeSpec
from torchvision.models._utils import IntermediateLayerGetter

from paddlex_maskrcnn.modeling.hrnet import HRNet
from paddlex_maskrcnn.modeling.resnet import build_resnet_variant_backbone
from paddlex_maskrcnn.weights.keys.backbones import map_timm_hrnet
from paddlex_maskrcnn.weights.keys.torchvision import map_torchvision_resnet

# of the spread of a level: a hundred layers in a row, each of which rounds sums of thousands of products,
# come to 1e-6 to 1e-5 of it; another stride, order or norm changes all of it
TOLERANCE = 1e-4


def randomise_norms(network):
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.8, 1.2)
            # halved, so that sums over a hundred blocks stay of order one
            torch.nn.init.uniform_(module.weight, 0.3, 0.6)
            torch.nn.init.normal_(module.bias, std=0.1)
    return network.eval()


def load(ours, theirs, to_detectron2):
    state = theirs.state_dict()
    names = to_detectron2(state)
    mapped = {names[name]: tensor for name, tensor in state.items() if names[name]}
    ours.load_state_dict(mapped, strict=True, assign=True)
    return ours.eval()


@torch.no_grad()
def assert_equal_levels(ours, theirs, height=72, width=104):
    """The default size gives maps of odd height and width, where pooling could go wrong."""
    x = torch.randn(1, 3, height, width)
    mine, its = list(ours(x).values()), theirs(x)
    its = list(its.values()) if isinstance(its, dict) else its
    assert len(mine) == len(its) == 4
    for level, expected in zip(mine, its, strict=True):
        assert 0.05 < expected.std() < 50
        assert (level - expected).abs().max() < TOLERANCE * expected.std()


def build_empty_resnet(cfg):
    """Without the time to initialise what is loaded anyway."""
    with torch.device("meta"):
        return build_resnet_variant_backbone(cfg, ShapeSpec(channels=3))


@pytest.mark.parametrize(
    ("name", "depth", "variant"),
    [
        ("resnet18", 18, "b"),
        ("resnet50", 50, "b"),
        ("resnet101", 101, "b"),
        ("resnet18d", 18, "d"),
        ("resnet50d", 50, "d"),
        ("resnet101d", 101, "d"),
    ],
)
def test_resnet_equals_timm(make_backbone_cfg, name, depth, variant):
    theirs = timm.create_model(name, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4))
    randomise_norms(theirs)
    ours = build_empty_resnet(make_backbone_cfg(depth, variant))
    assert_equal_levels(load(ours, theirs, map_torchvision_resnet), theirs)


@pytest.mark.parametrize("depth", [18, 50])
def test_resnet_equals_torchvision(make_backbone_cfg, depth):
    whole = randomise_norms(getattr(torchvision.models, f"resnet{depth}")(weights=None))
    levels = {f"layer{i}": f"res{i + 1}" for i in range(1, 5)}
    ours = build_empty_resnet(make_backbone_cfg(depth))
    ours = load(ours, whole, map_torchvision_resnet)
    assert_equal_levels(ours, IntermediateLayerGetter(whole, levels))


def test_hrnet_equals_timm():
    theirs = timm.create_model(
        "hrnet_w18",
        pretrained=False,
        features_only=True,
        feature_location="",
        out_indices=(1, 2, 3, 4),
    )
    randomise_norms(theirs)
    with torch.device("meta"):
        ours = HRNet(norm="FrozenBN")
    ours = load(ours, theirs, map_timm_hrnet)
    assert_equal_levels(ours, theirs, height=64, width=96)  # timm needs multiples of 32 here
