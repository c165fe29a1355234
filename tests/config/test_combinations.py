"""Combinations of the model's parameters."""

import pytest

from paddlex_maskrcnn.config.schema import ModelParams


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
