"""Combinations of rows."""

import pytest

from paddlex_maskrcnn.config.rules import broken_rules, without_effect
from paddlex_maskrcnn.config.schema import ModelParams


def test_defaults_break_no_rule():
    assert broken_rules(ModelParams()) == []


def test_c4_takes_any_number_of_anchor_sizes():
    assert broken_rules(ModelParams(with_fpn=False, anchor_sizes=[64, 128])) == []
    assert [rule.key for rule in broken_rules(ModelParams(anchor_sizes=[64, 128]))] == [
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
    found = without_effect(ModelParams(**settings), given)
    assert [sentence.split()[0] for sentence in found] == idle
