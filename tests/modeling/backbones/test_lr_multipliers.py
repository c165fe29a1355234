from functools import partial

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.solver.build import get_default_optimizer_params

from paddlex_maskrcnn.modeling.backbones.lr_multipliers import SSLD_MULTIPLIERS, lr_multiplier
from paddlex_maskrcnn.modeling.backbones.resnet_variant import (
    build_res5_stage,
    build_resnet_variant_fpn_backbone,
)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("backbone.bottom_up.stem.conv1.weight", 1.0),
        ("backbone.bottom_up.res2.0.conv1.weight", 0.05),
        ("backbone.bottom_up.res3.0.conv2_offset.bias", 0.05),
        ("backbone.res4.5.conv3.norm.weight", 0.1),
        ("roi_heads.res5.0.shortcut.weight", 0.15),
        ("backbone.fpn_lateral5.weight", 1.0),
        ("roi_heads.box_head.fc1.weight", 1.0),
        ("proposal_generator.rpn_head.conv.weight", 1.0),
        ("teacher.res5.weight", 1.0),
    ],
)
def test_factor_by_name(name, factor):
    assert lr_multiplier(name, SSLD_MULTIPLIERS) == factor


def test_stages_left_out_keep_their_rate():
    assert lr_multiplier("backbone.res5.0.conv1.weight", {"res4": 0.5}) == 1.0


def test_unknown_stage():
    with pytest.raises(ValueError, match=r"'res6'.*stem, res2, res3, res4, res5"):
        lr_multiplier("backbone.res5.0.conv1.weight", {"res6": 0.5})


def test_factors_reach_the_optimizer(make_cfg):
    """All parameters of a stage, deformable convolutions and the res5 head included."""
    cfg = make_cfg(
        18,
        "d",
        RESNETS__DEFORM_ON_PER_STAGE=[False, True, True, True],
        RESNETS__DEFORM_MODULATED=True,
        RESNETS__NORM="BN",
    )
    model = torch.nn.ModuleDict()
    model["backbone"] = build_resnet_variant_fpn_backbone(cfg, ShapeSpec(channels=3))
    cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE = [False] * 4
    model["roi_heads"] = torch.nn.ModuleDict({"res5": build_res5_stage(cfg, 256)[0]})
    groups = get_default_optimizer_params(
        model,
        base_lr=2.0,
        lr_factor_func=partial(lr_multiplier, stage_multipliers=SSLD_MULTIPLIERS),
    )
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    bottom_up = model["backbone"].bottom_up
    for stage, factor in SSLD_MULTIPLIERS.items():
        for parameter in getattr(bottom_up, stage).parameters():
            assert rates[id(parameter)] == pytest.approx(2.0 * factor)
    for parameter in model["roi_heads"].parameters():
        assert rates[id(parameter)] == pytest.approx(2.0 * 0.15)
    assert rates[id(model["backbone"].fpn_output2.weight)] == 2.0
