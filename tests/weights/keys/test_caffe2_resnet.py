"""Names of Detectron's Caffe2 files, against Detectron2's own renaming of them."""

import pytest
import torch
from detectron2.checkpoint.c2_model_loading import convert_basic_c2_names
from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import build_resnet_backbone

from paddlex_maskrcnn.weights.keys.caffe2_resnet import to_detectron2

BLOCKS = {2: 3, 3: 4, 4: 6, 5: 3}


def names_of_r50(norms=("bn_s", "bn_b"), stem="res_conv1") -> list[str]:
    """Every name of ImageNetPretrained/MSRA/R-50.pkl, or of a like file with other norms."""
    branches = [
        f"res{stage}_{block}_branch{branch}"
        for stage, count in BLOCKS.items()
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
def test_names_as_detectron2_translates_them(norms, stem):
    names = names_of_r50(norms, stem)
    expected = dict(zip(names, convert_basic_c2_names(names), strict=True))
    assert to_detectron2(names) == expected


def test_they_cover_the_network():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res5"]
    with torch.device("meta"):
        ours = set(build_resnet_backbone(cfg, ShapeSpec(channels=3)).state_dict())
    mapped = set(to_detectron2(names_of_r50(("bn_s", "bn_b", "bn_rm", "bn_riv"))).values())
    assert mapped == ours


@pytest.mark.parametrize(
    "name",
    ["pred_w", "fc1000_b", "conv1_b", "fpn_res5_2_sum_w", "conv_rpn_fpn2_b", "_[mask]_fcn1_w"],
)
def test_what_a_backbone_has_no_use_for(name):
    assert to_detectron2([name]) == {name: None}


@pytest.mark.parametrize("name", ["res6_0_branch1_w", "res2_0_branch2d_w", "res2_0_branch2a_bn_x"])
def test_other_networks_are_refused(name):
    with pytest.raises(ValueError, match=f"{name!r} is no parameter of a Caffe2 ResNet"):
        to_detectron2([name])
