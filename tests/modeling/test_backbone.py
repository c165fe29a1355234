"""Norms, gradient checkpointing and learning-rate multipliers."""

import copy
from functools import partial

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.solver.build import get_default_optimizer_params

from paddlex_maskrcnn.modeling.backbone import SSLD_MULTIPLIERS, checkpointed, lr_multiplier
from paddlex_maskrcnn.modeling.resnet import build_res5_stage, build_resnet_variant_fpn_backbone


def build(cfg, name):
    torch.manual_seed(0)
    return BACKBONE_REGISTRY.get(name)(cfg, ShapeSpec(channels=3)).train()


def train_step(network, x):
    """Gradients by name, and how many numbers the forward pass kept for the backward pass."""
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(x)
        loss = sum(level.square().mean() for level in outputs.values())
    loss.backward()
    gradients = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    return loss.detach(), gradients, sum(kept.values())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("build_resnet_variant_backbone", {"RESNETS__NORM": "BN"}),
        (
            "build_resnet_variant_fpn_backbone",
            {
                "variant": "d",
                "RESNETS__DEFORM_ON_PER_STAGE": [False, True, True, True],
                "RESNETS__DEFORM_MODULATED": True,
                "BACKBONE__FREEZE_AT": 2,
            },
        ),
        ("build_hrnet_hrfpn_backbone", {}),
    ],
    ids=["ResNet, BN", "ResNet-D, DCN, FPN, FrozenBN", "HRNet"],
)
def test_same_step_with_less_memory(make_backbone_cfg, name, settings):
    """Loss, gradients and running statistics are equal; fewer activations are kept."""
    cfg = make_backbone_cfg(**settings)
    plain = build(cfg, name)
    cfg.MODEL.BACKBONE.GRADIENT_CHECKPOINTING = True
    saving = build(cfg, name)
    x = torch.randn(2, 3, 64, 64)
    loss, gradients, kept = train_step(plain, x)
    saving_loss, saving_gradients, saving_kept = train_step(saving, x)
    assert torch.equal(loss, saving_loss)
    assert gradients.keys() == saving_gradients.keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(saving_gradients[parameter], gradient, msg=parameter)
    for buffer, value in plain.named_buffers():
        assert torch.equal(saving.get_buffer(buffer), value), buffer
    assert saving_kept < 0.9 * kept


def test_hrnet_statistics_count_a_batch_once(make_backbone_cfg):
    """Modules with several inputs and live batch norm."""
    cfg = make_backbone_cfg(HRNET__NORM="BN", BACKBONE__GRADIENT_CHECKPOINTING=True)
    network = build(cfg, "build_hrnet_hrfpn_backbone")
    network(torch.randn(2, 3, 64, 64))["p6"].sum().backward()
    counters = [b for n, b in network.named_buffers() if n.endswith("num_batches_tracked")]
    assert counters
    assert all(counter == 1 for counter in counters)


@pytest.mark.parametrize("why", ["evaluation", "no gradients", "frozen"])
def test_nothing_is_recomputed_in_vain(why, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("recomputes")

    monkeypatch.setattr("paddlex_maskrcnn.modeling.backbone.checkpoint", refuse)
    block = torch.nn.Conv2d(1, 1, 1)
    x = torch.ones(1, 1, 2, 2)
    needed = copy.deepcopy(block)
    with pytest.raises(AssertionError, match="recomputes"):
        checkpointed(needed, x)
    block.train(why != "evaluation").requires_grad_(why != "frozen")
    with torch.set_grad_enabled(why != "no gradients"):
        assert torch.equal(checkpointed(block, x), block(x))


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


def test_factors_reach_the_optimizer(make_backbone_cfg):
    """All parameters of a stage, deformable convolutions and the res5 head included."""
    cfg = make_backbone_cfg(
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
