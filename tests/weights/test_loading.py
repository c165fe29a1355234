"""Weights into networks: what is loaded, what is told, what is refused."""

import pytest
import timm
import torch
import torchvision
from detectron2.config import get_cfg
from detectron2.modeling import build_backbone

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import CAFFE_BGR, IMAGENET_RGB
from paddlex_maskrcnn.weights.keys.backbones import map_timm_hrnet
from paddlex_maskrcnn.weights.keys.torchvision import map_torchvision_resnet
from paddlex_maskrcnn.weights.loading import (
    WeightSource,
    adapt_stem,
    load_all_weights,
    load_weights,
)
from paddlex_maskrcnn.weights.source import open_file


class Detector(torch.nn.Module):
    """A ResNet18 where detectors keep it."""

    def __init__(self):
        super().__init__()
        cfg = get_cfg()
        cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 18, 64
        cfg.MODEL.RESNETS.OUT_FEATURES = ["res5"]
        self.backbone = torch.nn.Module()
        self.backbone.bottom_up = build_backbone(cfg)
        self.head = torch.nn.Linear(2, 3)


def detector(num_classes=1, **arguments):
    small = {"backbone": "ResNet18", "fpn_num_channels": 8, **arguments}
    labels = [str(number) for number in range(num_classes)]
    card = ModelCard(ModelParams(**small), labels, list(range(num_classes)), IMAGENET_RGB, True)
    return build_network(card, "cpu").module


@pytest.fixture(scope="module")
def resnet18():
    """torchvision's, under Detectron2's names, and its own."""
    state = torchvision.models.resnet18().state_dict()
    names = map_torchvision_resnet(state)
    return WeightSource("r18", {names[k] or k: v for k, v in state.items()}, IMAGENET_RGB), state


def test_a_classifier_fills_the_backbone(resnet18):
    source, original = resnet18
    network = Detector()
    report = load_weights(network, source)
    assert {name for name in report.unused if "tracked" not in name} == {"fc.weight", "fc.bias"}
    assert report.missing == ["head.weight", "head.bias"]
    assert torch.equal(network.backbone.bottom_up.stem.conv1.weight, original["conv1.weight"])


def test_the_head_without_a_pyramid_gets_its_stage(resnet18):
    source, original = resnet18
    network = detector(with_fpn=False)
    load_weights(network, source)
    assert torch.equal(network.roi_heads.res5[1].conv2.weight, original["layer4.1.conv2.weight"])


@pytest.mark.parametrize(
    ("backbone", "theirs", "key_map"),
    [
        ("ResNet50_vd", "resnet50d", map_torchvision_resnet),
        ("HRNet_W18", "hrnet_w18", map_timm_hrnet),
    ],
)
def test_timm_s_networks_fill_ours(backbone, theirs, key_map):
    state = timm.create_model(theirs, pretrained=False).state_dict()
    names = key_map(state)
    source = WeightSource(theirs, {names[k] or k: v for k, v in state.items()}, IMAGENET_RGB)
    report = load_weights(detector(backbone=backbone), source)
    assert not [name for name in report.missing if name.startswith("backbone.bottom_up.")]
    assert len(report.matched) > 250


def test_another_number_of_classes_leaves_only_their_layers_random():
    trained = detector(num_classes=5)
    source = WeightSource("coco", trained.state_dict(), IMAGENET_RGB)
    network = detector(num_classes=2)
    report = load_weights(network, source)
    predictors = ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_head.predictor")
    assert {name.removeprefix("roi_heads.").rpartition(".")[0] for name in report.skipped} == {
        *predictors
    }
    assert not report.missing
    assert not report.unused
    for name, value in network.state_dict().items():
        assert torch.equal(value, source.state[name]) == (name not in report.skipped), name
    assert "6 skipped (roi_heads.box_predictor.cls_score, roi_heads.box_predictor" in str(report)


def test_the_same_classes_match_fully():
    trained = detector(num_classes=2)
    report = load_weights(
        detector(num_classes=2), WeightSource("x", trained.state_dict(), CAFFE_BGR)
    )
    count = len(trained.state_dict())
    assert str(report) == f"{count} matched, 0 adapted, 0 skipped, 0 missing, 0 unused"


def test_a_detector_s_backbone_moves_between_networks_with_and_without_pyramid():
    with_fpn, without = detector(), detector(with_fpn=False)
    for origin, target in ((with_fpn, without), (without, with_fpn)):
        state = {name: torch.rand_like(value) for name, value in origin.state_dict().items()}
        report = load_weights(target, WeightSource("x", state, IMAGENET_RGB))
        left = [name for name in report.missing if ".res" in name or ".stem." in name]
        assert not left
    moved = with_fpn.state_dict()["backbone.bottom_up.res5.1.conv2.weight"]
    assert torch.equal(moved, state["roi_heads.res5.1.conv2.weight"])


def test_half_a_backbone_is_refused(resnet18):
    state = {"stem.conv1.weight": resnet18[0].state["stem.conv1.weight"]}
    with pytest.raises(ValueError, match=r"no weights for backbone\.bottom_up.*and .* more"):
        load_weights(Detector(), WeightSource("half.pth", state, IMAGENET_RGB))


def test_weights_of_another_depth(resnet18, tmp_path):
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "r34.pth")
    report = load_weights(Detector(), open_file(tmp_path / "r34.pth"))
    assert any(name.startswith("res2.2") for name in report.unused), "deeper ones fit, and say so"
    state = torchvision.models.resnet50().state_dict()
    torch.save(state, tmp_path / "r50.pth")
    with pytest.raises(ValueError, match="does not fit the backbone"):
        load_weights(Detector(), open_file(tmp_path / "r50.pth"))


def test_a_layer_that_the_network_s_block_lacks_is_refused(resnet18):
    """PaddleX's ResNet18 projects a shortcut that is the identity here: it computes something else."""
    state = resnet18[0].state | {"res2.0.shortcut.weight": torch.ones(64, 64, 1, 1)}
    network = Detector()
    before = network.backbone.bottom_up.stem.conv1.weight.clone()
    with pytest.raises(ValueError, match=r"has no res2\.0\.shortcut in blocks that both have"):
        load_weights(network, WeightSource("paddle", state, IMAGENET_RGB))
    assert torch.equal(network.backbone.bottom_up.stem.conv1.weight, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.weight": None}, r"1 that are missing \(head\)"),
        ({"other.bias": torch.ones(1)}, r"1 that the network lacks \(other\)"),
        ({"head.weight": torch.ones(7)}, r"1 that do not fit \(head\)"),
        ({"backbone.bottom_up.stem.conv1.weight": torch.ones(64, 1, 7, 7)}, "1 that do not fit"),
    ],
)
def test_a_whole_network_must_be_the_very_same(change, message):
    state = {
        name: value
        for name, value in (Detector().state_dict() | change).items()
        if value is not None
    }
    with pytest.raises(ValueError, match=f"x is not the network it should be: {message}"):
        load_all_weights(Detector(), WeightSource("x", state, IMAGENET_RGB))


def test_a_grey_image_gives_the_same_response_with_any_number_of_channels():
    weight = torch.randn(4, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    grey = torch.randn(1, 1, 20, 20, generator=torch.Generator().manual_seed(1))
    expected = torch.conv2d(grey.expand(1, 3, 20, 20), weight)
    for channels in (1, 3, 6):
        response = torch.conv2d(grey.expand(1, channels, 20, 20), adapt_stem(weight, channels))
        assert torch.allclose(response, expected, atol=1e-4)  # sums of 147 products, about 12
    assert adapt_stem(weight, 4).shape == (4, 4, 7, 7)
