"""Names of published backbones, against the libraries that wrote them.

Whole HRNets are covered by modeling/test_published_networks.py.
"""

import pytest
import timm
import torch
from detectron2.checkpoint.c2_model_loading import convert_basic_c2_names
from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import build_resnet_backbone

from paddlex_maskrcnn.weights.keys.backbones import (
    map_caffe2_resnet,
    map_presnet,
    map_timm_hrnet,
)
from paddlex_maskrcnn.weights.keys.torchvision import map_torchvision_resnet


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("bn2.bias", "stem.conv2.norm.bias"),
        ("layer1.0.downsample.1.weight", "stage1.0.shortcut.norm.weight"),
        ("layer1.3.conv2.weight", "stage1.3.conv2.weight"),
        ("transition1.0.1.weight", "transition1.0.norm.weight"),
        ("transition1.1.0.0.weight", "transition1.1.weight"),
        ("transition3.3.0.1.bias", "transition3.norm.bias"),
        ("stage4.2.branches.3.1.bn1.running_var", "stage4.2.branches.3.1.conv1.norm.running_var"),
        ("stage2.0.fuse_layers.0.1.1.bias", "stage2.0.fuse.0.1.0.norm.bias"),
        ("stage4.0.fuse_layers.3.0.2.0.weight", "stage4.0.fuse.3.0.2.weight"),
        ("classifier.weight", None),
        ("stage2.0.fuse_layers.0.1.1.num_batches_tracked", None),
    ],
)
def test_names_of_timm_s_hrnet(name, ours):
    assert map_timm_hrnet([name]) == {name: ours}


def test_a_whole_hrnet_classifier():
    """Published files hold the classification part too, which is dropped without an error."""
    names = list(timm.create_model("hrnet_w18", pretrained=False).state_dict())
    mapped = map_timm_hrnet(names)
    dropped = {name.split(".")[0] for name in names if mapped[name] is None} - {"bn1", "bn2"}
    assert {"incre_modules", "downsamp_modules", "final_layer", "classifier"} <= dropped
    taken = [ours for ours in mapped.values() if ours]
    assert len(set(taken)) == len(taken)


def test_other_hrnets_are_refused():
    with pytest.raises(ValueError, match=r"'blocks\.0\.weight' is no parameter"):
        map_timm_hrnet(["blocks.0.weight"])


R50_BLOCKS = {2: 3, 3: 4, 4: 6, 5: 3}


def caffe2_r50_names(norms=("bn_s", "bn_b"), stem="res_conv1") -> list[str]:
    """Every name of ImageNetPretrained/MSRA/R-50.pkl, or of a like file with other norms."""
    branches = [
        f"res{stage}_{block}_branch{branch}"
        for stage, count in R50_BLOCKS.items()
        for block in range(count)
        for branch in ("1", "2a", "2b", "2c")[block > 0 :]
    ]
    names = ["conv1_w", *(f"{stem}_{norm}" for norm in norms)]
    for branch in branches:
        names += [f"{branch}_w", *(f"{branch}_{norm}" for norm in norms)]
    return names


@pytest.mark.parametrize(
    ("norms", "stem"),
    [
        (("bn_s", "bn_b"), "res_conv1"),
        (("bn_s", "bn_b", "bn_rm", "bn_riv"), "res_conv1"),
        (("gn_s", "gn_b"), "conv1"),
    ],
)
def test_caffe2_names_as_detectron2_translates_them(norms, stem):
    names = caffe2_r50_names(norms, stem)
    expected = dict(zip(names, convert_basic_c2_names(names), strict=True))
    assert map_caffe2_resnet(names) == expected


def test_caffe2_names_cover_the_network():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res5"]
    with torch.device("meta"):
        ours = set(build_resnet_backbone(cfg, ShapeSpec(channels=3)).state_dict())
    mapped = set(map_caffe2_resnet(caffe2_r50_names(("bn_s", "bn_b", "bn_rm", "bn_riv"))).values())
    assert mapped == ours


@pytest.mark.parametrize(
    "name",
    ["pred_w", "fc1000_b", "conv1_b", "fpn_res5_2_sum_w", "conv_rpn_fpn2_b", "_[mask]_fcn1_w"],
)
def test_what_a_backbone_has_no_use_for(name):
    assert map_caffe2_resnet([name]) == {name: None}


@pytest.mark.parametrize("name", ["res6_0_branch1_w", "res2_0_branch2d_w", "res2_0_branch2a_bn_x"])
def test_other_caffe2_files_are_refused(name):
    with pytest.raises(ValueError, match=f"{name!r} is no parameter of a Caffe2 ResNet"):
        map_caffe2_resnet([name])


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("conv1.conv1_1.conv.weight", "stem.conv1.weight"),
        ("conv1.conv1_3.norm.running_var", "stem.conv3.norm.running_var"),
        ("res_layers.0.blocks.0.short.conv.weight", "res2.0.shortcut.weight"),
        ("res_layers.0.blocks.0.short.norm.bias", "res2.0.shortcut.norm.bias"),
        ("res_layers.1.blocks.0.short.conv.conv.weight", "res3.0.shortcut.weight"),
        ("res_layers.3.blocks.0.short.conv.norm.weight", "res5.0.shortcut.norm.weight"),
        ("res_layers.2.blocks.5.branch2b.conv.weight", "res4.5.conv2.weight"),
        ("res_layers.2.blocks.5.branch2c.norm.running_mean", "res4.5.conv3.norm.running_mean"),
        ("res_layers.2.blocks.5.branch2c.norm.num_batches_tracked", None),
    ],
)
def test_names_of_presnet(name, ours):
    assert map_presnet([name]) == {name: ours}


def presnet50_names() -> list[str]:
    """All names of a PResNet-50-vd, written from its class: 3 stem layers, 3 + 4 + 6 + 3 blocks."""
    layers = [f"conv1.conv1_{k}" for k in (1, 2, 3)]
    for stage, blocks in enumerate((3, 4, 6, 3)):
        start = f"res_layers.{stage}.blocks"
        layers += [f"{start}.{b}.branch2{k}" for b in range(blocks) for k in "abc"]
        layers.append(f"{start}.0.short" + (".conv" if stage else ""))
    fields = [
        "conv.weight",
        *(f"norm.{f}" for f in ("weight", "bias", "running_mean", "running_var")),
    ]
    return [f"{layer}.{field}" for layer in layers for field in fields]


def test_a_whole_presnet_covers_the_backbone_exactly():
    """The same names of ours as timm's network of that architecture gives."""
    names = timm.create_model("resnet50d", pretrained=False).state_dict()
    expected = set(map_torchvision_resnet(names).values()) - {None}
    assert set(map_presnet(presnet50_names()).values()) == expected


def test_other_presnets_are_refused():
    with pytest.raises(ValueError, match="is no parameter of a PResNet"):
        map_presnet(["layer1.0.conv1.weight"])
