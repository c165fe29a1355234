"""Whole networks are covered by test_paddle_maskrcnn.py."""

import pytest

from paddlex_maskrcnn.weights.keys.paddle_resnet import to_detectron2


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("conv1_weights", "stem.conv1.weight"),
        ("bn_conv1_scale", "stem.conv1.norm.weight"),
        ("conv1_3_weights", "stem.conv3.weight"),
        ("bnv1_2_variance", "stem.conv2.norm.running_var"),
        ("res2a_branch1_weights", "res2.0.shortcut.weight"),
        ("bn2b_branch2a_offset", "res2.1.conv1.norm.bias"),
        ("res4b_branch2b_weights", "res4.1.conv2.weight"),
        ("res4b22_branch2b_weights", "res4.22.conv2.weight"),
        ("bn5c_branch2c_mean", "res5.2.conv3.norm.running_mean"),
        ("res3d_branch2b_conv_offset.w_0", "res3.3.conv2_offset.weight"),
        ("res4b10_branch2b_conv_offset.b_0", "res4.10.conv2_offset.bias"),
        ("fc_0.w_0", None),
    ],
)
def test_names(name, ours):
    assert to_detectron2([name]) == {name: ours}


@pytest.mark.parametrize("name", ["res2a_branch2d_weights", "bn2a_branch1_momentum", "gcb_res3"])
def test_other_networks_are_refused(name):
    with pytest.raises(ValueError, match=f"{name!r} is no parameter"):
        to_detectron2([name])
