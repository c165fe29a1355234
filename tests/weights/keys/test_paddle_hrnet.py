"""Whole networks are covered by test_paddle_maskrcnn.py."""

import pytest

from paddlex_maskrcnn.weights.keys.paddle_hrnet import to_detectron2


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("layer1_2_weights", "stem.conv2.weight"),
        ("layer1_1_bn_variance", "stem.conv1.norm.running_var"),
        ("layer2_4_conv3_bn_scale", "stage1.3.conv3.norm.weight"),
        ("layer2_1_downsample_weights", "stage1.0.shortcut.weight"),
        ("tr1_layer_2_weights", "transition1.1.weight"),
        ("tr3_layer_4_bn_offset", "transition3.norm.bias"),
        ("st4_3_branch_layer_4_2_conv1_weights", "stage4.2.branches.3.1.conv1.weight"),
        ("st3_1_layer_1_3_bn_mean", "stage3.0.fuse.0.2.0.norm.running_mean"),
        ("st4_1_layer_4_1_3_weights", "stage4.0.fuse.3.0.2.weight"),
        ("cls_head_last_conv_weights", None),
        ("fc_offset", None),
    ],
)
def test_names(name, ours):
    assert to_detectron2([name]) == {name: ours}


@pytest.mark.parametrize("name", ["layer3_1_weights", "st2_1_layer_1_2_bn_momentum", "conv1"])
def test_other_networks_are_refused(name):
    with pytest.raises(ValueError, match=f"{name!r} is no parameter"):
        to_detectron2([name])
