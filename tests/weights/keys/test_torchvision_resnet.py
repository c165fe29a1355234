"""Whole networks are covered by modeling/backbones/test_published_networks.py."""

import pytest

from paddlex_maskrcnn.weights.keys.torchvision_resnet import to_detectron2


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["conv1.weight", "bn1.running_mean"],
            ["stem.conv1.weight", "stem.conv1.norm.running_mean"],
        ),
        (
            ["conv1.0.weight", "conv1.4.bias", "conv1.6.weight", "bn1.weight"],
            [
                "stem.conv1.weight",
                "stem.conv2.norm.bias",
                "stem.conv3.weight",
                "stem.conv3.norm.weight",
            ],
        ),
        (
            ["layer1.2.conv3.weight", "layer4.0.bn2.running_var"],
            ["res2.2.conv3.weight", "res5.0.conv2.norm.running_var"],
        ),
        (
            ["layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight"],
            ["res3.0.shortcut.weight", "res3.0.shortcut.norm.weight"],
        ),
        (
            ["layer2.0.downsample.1.weight", "layer2.0.downsample.2.weight"],
            ["res3.0.shortcut.weight", "res3.0.shortcut.norm.weight"],
        ),
        (["fc.weight", "fc.bias", "bn1.num_batches_tracked"], [None, None, None]),
    ],
    ids=["stem", "deep stem", "blocks", "shortcut", "pooled shortcut", "dropped"],
)
def test_names(names, expected):
    assert to_detectron2(names) == dict(zip(names, expected, strict=True))


@pytest.mark.parametrize("name", ["patch_embed.weight", "layer1.0.se.fc1.weight", "head.fc.weight"])
def test_other_networks_are_refused(name):
    with pytest.raises(ValueError, match=f"{name!r} is no parameter"):
        to_detectron2(["conv1.weight", name])
