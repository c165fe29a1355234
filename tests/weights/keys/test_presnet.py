"""Names of PResNet, the form in which Paddle's SSLD weights exist for PyTorch."""

import pytest
import timm

from paddlex_maskrcnn.weights.keys import torchvision_resnet
from paddlex_maskrcnn.weights.keys.presnet import to_detectron2


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("conv1.conv1_1.conv.weight", "stem.conv1.weight"),
        ("conv1.conv1_3.norm.running_var", "stem.conv3.norm.running_var"),
        ("res_layers.0.blocks.0.short.conv.weight", "res2.0.shortcut.weight"),
        ("res_layers.0.blocks.0.short.norm.bias", "res2.0.shortcut.norm.bias"),
        ("res_layers.1.blocks.0.short.conv.conv.weight", "res3.0.shortcut.weight"),
        ("res_layers.3.blocks.0.short.conv.norm.weight", "res5.0.shortcut.norm.weight"),
        ("res_layers.2.blocks.5.branch2b.conv.weight", "res4.5.conv2.weight"),
        ("res_layers.2.blocks.5.branch2c.norm.running_mean", "res4.5.conv3.norm.running_mean"),
        ("res_layers.2.blocks.5.branch2c.norm.num_batches_tracked", None),
    ],
)
def test_names(name, ours):
    assert to_detectron2([name]) == {name: ours}


def presnet50_names() -> list[str]:
    """All names of a PResNet-50-vd, written from its class: 3 stem layers, 3 + 4 + 6 + 3 blocks."""
    layers = [f"conv1.conv1_{k}" for k in (1, 2, 3)]
    for stage, blocks in enumerate((3, 4, 6, 3)):
        start = f"res_layers.{stage}.blocks"
        layers += [f"{start}.{b}.branch2{k}" for b in range(blocks) for k in "abc"]
        layers.append(f"{start}.0.short" + (".conv" if stage else ""))
    fields = [
        "conv.weight",
        *(f"norm.{f}" for f in ("weight", "bias", "running_mean", "running_var")),
    ]
    return [f"{layer}.{field}" for layer in layers for field in fields]


def test_a_whole_network_covers_the_backbone_exactly():
    """The same names of ours as timm's network of that architecture gives."""
    names = timm.create_model("resnet50d", pretrained=False).state_dict()
    expected = set(torchvision_resnet.to_detectron2(names).values()) - {None}
    assert set(to_detectron2(presnet50_names()).values()) == expected


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="is no parameter of a PResNet"):
        to_detectron2(["layer1.0.conv1.weight"])
