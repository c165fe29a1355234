"""Whole networks are covered by modeling/backbones/test_published_networks.py."""

import pytest
import timm

from paddlex_maskrcnn.weights.keys.timm_hrnet import to_detectron2


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("bn2.bias", "stem.conv2.norm.bias"),
        ("layer1.0.downsample.1.weight", "stage1.0.shortcut.norm.weight"),
        ("layer1.3.conv2.weight", "stage1.3.conv2.weight"),
        ("transition1.0.1.weight", "transition1.0.norm.weight"),
        ("transition1.1.0.0.weight", "transition1.1.weight"),
        ("transition3.3.0.1.bias", "transition3.norm.bias"),
        ("stage4.2.branches.3.1.bn1.running_var", "stage4.2.branches.3.1.conv1.norm.running_var"),
        ("stage2.0.fuse_layers.0.1.1.bias", "stage2.0.fuse.0.1.0.norm.bias"),
        ("stage4.0.fuse_layers.3.0.2.0.weight", "stage4.0.fuse.3.0.2.weight"),
        ("classifier.weight", None),
        ("stage2.0.fuse_layers.0.1.1.num_batches_tracked", None),
    ],
)
def test_names(name, ours):
    assert to_detectron2([name]) == {name: ours}


def test_a_whole_classifier_file_is_known():
    """Published files hold the classification part too, which is dropped without an error."""
    names = list(timm.create_model("hrnet_w18", pretrained=False).state_dict())
    mapped = to_detectron2(names)
    dropped = {name.split(".")[0] for name in names if mapped[name] is None} - {"bn1", "bn2"}
    assert {"incre_modules", "downsamp_modules", "final_layer", "classifier"} <= dropped
    kept = [ours for ours in mapped.values() if ours]
    assert len(set(kept)) == len(kept)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match=r"'blocks\.0\.weight' is no parameter"):
        to_detectron2(["blocks.0.weight"])
