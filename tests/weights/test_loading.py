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


def renamed(network, *labels):
    """A network's weights, drawn anew, as those of a model with these classes."""
    state = {
        name: torch.randn_like(v) if v.is_floating_point() else v
        for name, v in network.state_dict().items()
    }
    return WeightSource("old", state, IMAGENET_RGB, labels)


def class_outputs(network, labels, seed=0):
    """Class -> what its own rows say of some regions: score, box and mask; None is the background."""
    draw = torch.Generator().manual_seed(seed)
    predictor = network.roi_heads.box_predictor
    regions = torch.randn(3, predictor.cls_score.in_features, generator=draw)
    layer = network.roi_heads.mask_head.predictor
    pixels = torch.randn(2, layer.in_channels, 4, 4, generator=draw)
    with torch.no_grad():
        scores, boxes, masks = (
            predictor.cls_score(regions),
            predictor.bbox_pred(regions),
            layer(pixels),
        )
    boxes = boxes.unflatten(1, (len(labels), 4))
    outputs = {name: (scores[:, k], boxes[:, k], masks[:, k]) for k, name in enumerate(labels)}
    return {**outputs, None: (scores[:, -1],)}


@pytest.mark.parametrize("with_fpn", [True, False], ids=["FPN", "C4"])
@pytest.mark.parametrize(
    ("old", "new"), [("abc", "cad"), ("abc", "cab"), ("abc", "b"), ("a", "xay"), ("abc", "abc")]
)
def test_classes_are_matched_by_name(old, new, with_fpn):
    """Every class of both says what it said, the background too; a new one what it would have said."""
    network = detector(len(new), with_fpn=with_fpn)
    source = renamed(detector(len(old), with_fpn=with_fpn), *old)
    fresh = class_outputs(network, new)
    trained = detector(len(old), with_fpn=with_fpn)
    trained.load_state_dict(source.state)
    learned = class_outputs(trained, old)
    report = load_weights(network, source, list(new))
    for name, outputs in class_outputs(network, new).items():
        expected = learned if name in learned else fresh
        for ours, theirs in zip(outputs, expected[name], strict=True):
            # a layer of another width sums in another order
            assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-4), name
    assert report.classes.shared == [name for name in new if name in old]
    assert report.classes.new == [name for name in new if name not in old]
    assert report.classes.left_out == [name for name in old if name not in new]
    assert not report.skipped
    assert len(report.adapted) == (0 if old == new else 6)


def test_one_line_says_what_became_of_the_classes(caplog):
    report = load_weights(detector(3), renamed(detector(3), "a", "b", "c"), ["c", "a", "d"])
    assert str(report).endswith(
        "0 unused; classes taken over by name: c, a; new, at random: d; left out: b"
    )
    assert not caplog.text


def test_classes_of_other_names_start_at_random(caplog):
    """As many as before, which a match by position would take for the same."""
    network = detector(2)
    before = class_outputs(network, "xy")
    report = load_weights(network, renamed(detector(2), "A cat", "dog"), ["a_cat", "bird"])
    for name, outputs in class_outputs(network, "xy").items():
        assert all(map(torch.equal, outputs, before[name]))
    assert len(report.skipped) == 6
    assert "classes: none has the name of another, all start at random (a_cat, bird)" in str(report)
    assert "class 'a_cat' starts at random: old calls it 'A cat'" in caplog.text


def test_layers_that_all_classes_share_are_taken_as_they_are():
    """Four box deltas for all classes together, as Detectron2's CLS_AGNOSTIC_BBOX_REG makes them."""
    network, trained = detector(3), detector(3)
    for each in (network, trained):
        each.roi_heads.box_predictor.bbox_pred = torch.nn.Linear(1024, 4)
    source = renamed(trained, "a", "b", "c")
    report = load_weights(network, source, ["c", "a", "b"])
    key = "roi_heads.box_predictor.bbox_pred.weight"
    assert key in report.matched
    assert torch.equal(network.state_dict()[key], source.state[key])


def test_weights_without_names_go_by_position_and_say_so(caplog):
    source = WeightSource("model_final.pth", detector(2).state_dict(), CAFFE_BGR)
    report = load_weights(detector(2), source, ["nut", "bolt"])
    assert not report.skipped
    assert "model_final.pth does not name its classes" in caplog.text
    assert "those of nut, bolt, in this order" in caplog.text
    caplog.clear()
    load_weights(detector(3), source, ["a", "b", "c"])
    assert not caplog.text, "nothing is taken by position"


def test_a_classifier_has_no_classes_to_speak_of(resnet18, caplog):
    report = load_weights(detector(2), resnet18[0], ["a", "b"])
    assert "class" not in str(report)
    assert not caplog.text
