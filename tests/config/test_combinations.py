"""Combinations of the model's parameters."""

import pytest

from paddlex_maskrcnn.config.schema import ModelParams, TrainParams


def test_defaults_break_no_rule():
    assert list(ModelParams().broken_rules()) == []


def test_c4_takes_any_number_of_anchor_sizes():
    assert list(ModelParams(with_fpn=False, anchor_sizes=[64, 128]).broken_rules()) == []
    assert [name for name, _ in ModelParams(anchor_sizes=[64, 128]).broken_rules()] == [
        "anchor_sizes"
    ]


@pytest.mark.parametrize(
    ("settings", "given", "idle"),
    [
        ({}, ["rpn_focal_loss_alpha"], ["rpn_focal_loss_alpha"]),
        ({"rpn_cls_loss": "SigmoidFocalLoss"}, ["rpn_focal_loss_alpha"], []),
        ({}, ["softnms_sigma", "nms_threshold"], ["softnms_sigma"]),
        ({"rcnn_nms": "MultiClassSoftNMS"}, ["softnms_sigma", "nms_threshold"], ["nms_threshold"]),
        ({"rcnn_nms": "MatrixNMS"}, ["nms_threshold"], ["nms_threshold"]),
        ({"with_fpn": False}, ["fpn_num_channels"], ["fpn_num_channels"]),
        ({}, [], []),
    ],
)
def test_idle_settings_are_named_when_given(settings, given, idle):
    sentences = ModelParams(**settings).without_effect(given)
    assert [sentence.split()[0] for sentence in sentences] == idle


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"optimizer": {"name": "AdamW"}, "momentum": 0.8},
            "momentum has no effect: optimizer is given",
        ),
        (
            {"optimizer": print, "weight_decay": 0.1},
            "weight_decay has no effect: optimizer is given",
        ),
        ({"early_stop_patience": 3}, "early_stop_patience has no effect: early_stop is false"),
        (
            {"warmup_steps": 0, "warmup_start_lr": 0.1},
            "warmup_start_lr has no effect: warmup_steps is 0",
        ),
        (
            {"lr_decay_epochs": [], "lr_decay_gamma": 0.5},
            "lr_decay_gamma has no effect: lr_decay_epochs is",
        ),
        ({"best_metric": "bbox"}, "best_metric has no effect: there is no held-out data"),
        ({"allow_changes": True}, "allow_changes has no effect: nothing is resumed"),
        ({"learning_rate": 1e-4}, "warmup_start_lr, 0.000417, is above learning_rate, 0.0001"),
    ],
)
def test_training_settings_without_effect(settings, sentence):
    params = TrainParams(num_epochs=1, train_dataset=None, **settings)
    assert [text for text in params.without_effect(settings) if text.startswith(sentence)]
    usual = TrainParams(num_epochs=1, train_dataset=None)
    assert usual.without_effect({"num_epochs", "train_dataset"}) == []
