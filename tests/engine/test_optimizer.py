"""The optimizer and the learning rate of each step."""

import pytest
import torch
from torch import nn

from paddlex_maskrcnn.config.schema import TrainParams
from paddlex_maskrcnn.engine.optimizer import build_optimizer, factor_of, learning_rate


class Detector(nn.Module):
    """The names of a detector on one convolution each."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleDict(
            {
                "bottom_up": nn.ModuleDict({"res3": nn.Conv2d(1, 1, 1)}),
                "fpn_output2": nn.Conv2d(1, 1, 1),
            }
        )
        self.roi_heads = nn.ModuleDict(
            {
                "res5": nn.ModuleDict(
                    {"conv1": nn.Conv2d(1, 1, 1, bias=False), "norm": nn.BatchNorm2d(1)}
                )
            }
        )
        self.frozen = nn.Conv2d(1, 1, 1).requires_grad_(False)


def params(**settings) -> TrainParams:
    return TrainParams(num_epochs=1, train_dataset=None, learning_rate=0.1, **settings)


def groups(stages=None, **settings) -> dict[str, tuple[float, float]]:
    module = Detector()
    optimizer = build_optimizer(module, params(weight_decay=0.01, **settings), stages or {})
    names = {id(value): name for name, value in module.named_parameters()}
    return {
        names[id(value)]: (round(group["lr"], 6), group["weight_decay"])
        for group in optimizer.param_groups
        for value in group["params"]
    }


def test_head_biases_learn_twice_as_fast_and_do_not_decay():
    assert groups() == {
        "backbone.bottom_up.res3.weight": (0.1, 0.01),
        "backbone.bottom_up.res3.bias": (0.1, 0),
        "backbone.fpn_output2.weight": (0.1, 0.01),
        "backbone.fpn_output2.bias": (0.2, 0),
        "roi_heads.res5.conv1.weight": (0.1, 0.01),
        "roi_heads.res5.norm.weight": (0.1, 0),
        "roi_heads.res5.norm.bias": (0.1, 0),
    }


def test_stage_factors_reach_every_parameter_of_a_stage():
    found = groups({"res3": 0.05, "res5": 0.15})
    assert {name: rate for name, (rate, _) in found.items()} == {
        "backbone.bottom_up.res3.weight": 0.005,
        "backbone.bottom_up.res3.bias": 0.005,
        "backbone.fpn_output2.weight": 0.1,
        "backbone.fpn_output2.bias": 0.2,
        "roi_heads.res5.conv1.weight": 0.015,
        "roi_heads.res5.norm.weight": 0.015,
        "roi_heads.res5.norm.bias": 0.015,
    }


def test_by_name_with_arguments():
    chosen = {"name": "AdamW", "weight_decay": 0.5, "betas": [0.8, 0.9]}
    optimizer = build_optimizer(Detector(), params(optimizer=chosen), {})
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["betas"] == (0.8, 0.9)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.5, 0}


def test_a_factory_gets_the_trainable_parameters():
    optimizer = build_optimizer(
        Detector(), params(optimizer=lambda p: torch.optim.Adam(p, lr=3.0)), {}
    )
    assert isinstance(optimizer, torch.optim.Adam)
    assert len(optimizer.param_groups[0]["params"]) == 7


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"name": "Adamw"}, "did you mean 'AdamW'"),
        ({"name": "SGD", "lr": 1}, "the rate is set by learning_rate"),
        ({"name": "SGD", "moment": 1}, "optimizer SGD refuses its arguments"),
        (7, "optimizer is 7; allowed: null"),
        (lambda p: 7, "optimizer returned 7, not"),
    ],
)
def test_what_is_no_optimizer(chosen, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer(Detector(), params(optimizer=chosen), {})


def test_hand_computed():
    """Start 0.1, base 0.5 after 4 steps, a tenth from step 6, a hundredth from step 8."""
    known = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 4: 0.5, 5: 0.5, 6: 0.05, 7: 0.05, 8: 0.005, 20: 0.005}
    for step, rate in known.items():
        found = learning_rate(
            step, base=0.5, warmup_start=0.1, warmup_steps=4, decay_steps=[6, 8], gamma=0.1
        )
        assert found == pytest.approx(rate)


def test_decay_comes_after_whole_epochs():
    params = TrainParams(num_epochs=3, train_dataset=None, warmup_steps=0, lr_decay_epochs=[1, 2])
    factor = factor_of(params, steps_per_epoch=10)
    assert [factor(step) for step in (0, 9, 10, 19, 20)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_no_decay_at_all():
    params = TrainParams(num_epochs=3, train_dataset=None, warmup_steps=0, lr_decay_epochs=[])
    assert factor_of(params, steps_per_epoch=10)(1000) == 1


def test_warmup_may_end_with_the_first_decay_but_not_after():
    params = TrainParams(num_epochs=3, train_dataset=None, warmup_steps=10, lr_decay_epochs=[1])
    factor_of(params, steps_per_epoch=10)
    with pytest.raises(
        ValueError, match="warmup_steps is 10, but the first decay comes before, after 9"
    ):
        factor_of(params, steps_per_epoch=9)
