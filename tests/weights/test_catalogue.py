"""Every backbone has ImageNet weights by name, and a file of that kind loads into it."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from paddlex_maskrcnn.config.schema import BACKBONES, ModelParams
from paddlex_maskrcnn.engine.network import ModelCard, build_network
from paddlex_maskrcnn.weights.cache import FOLDER_VARIABLE
from paddlex_maskrcnn.weights.catalogue import find_entry
from paddlex_maskrcnn.weights.loading import load_weights
from paddlex_maskrcnn.weights.source import open_weights


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_has_an_entry(backbone):
    entry = find_entry(backbone, "IMAGENET")
    assert entry.url.startswith("https://")
    assert entry.licence
    assert entry.input_format.channel_order == "RGB"


@pytest.mark.parametrize(
    ("backbone", "with_fpn"), [("ResNet50_vd", True), ("ResNet50_vd", False), ("HRNet_W18", True)]
)
def test_published_layout_loads_by_name(backbone, with_fpn, tmp_path, monkeypatch):
    """A file made by timm, under the name the catalogue gives it, fills the whole backbone."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    network = {"ResNet50_vd": "resnet50d", "HRNet_W18": "hrnet_w18"}[backbone]
    state = timm.create_model(network, pretrained=False).state_dict()
    save_file(state, tmp_path / find_entry(backbone, "IMAGENET").file_name)
    source = open_weights("IMAGENET", backbone)
    params = ModelParams(backbone=backbone, with_fpn=with_fpn, fpn_num_channels=8)
    card = ModelCard(params, ["a"], [1], source.input_format, pretrained=True)
    detector = build_network(card, "cpu").module
    report = load_weights(detector, source)
    assert not [name for name in report.missing if ".stem." in name or ".res" in name]
    stem = [name for name in report.matched if name.endswith("stem.conv1.weight")]
    first = state["conv1.0.weight" if backbone == "ResNet50_vd" else "conv1.weight"]
    assert torch.equal(detector.state_dict()[stem[0]], first)


def test_c4_head_gets_its_stage(tmp_path):
    path = tmp_path / "r18.pth"
    original = torchvision.models.resnet18().state_dict()
    torch.save(original, path)
    source = open_weights(str(path), "ResNet18")
    params = ModelParams(backbone="ResNet18", with_fpn=False)
    detector = build_network(ModelCard(params, ["a"], [1], source.input_format, True), "cpu").module
    load_weights(detector, source)
    assert torch.equal(detector.roi_heads.res5[1].conv2.weight, original["layer4.1.conv2.weight"])
