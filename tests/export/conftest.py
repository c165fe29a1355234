"""Tiny networks with random weights that find something, and one of them exported."""

from pathlib import Path

import pytest
import torch

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.export.exporting import export_network
from paddlex_maskrcnn.inference.network import ModelCard, Network, build_network
from paddlex_maskrcnn.weights.input_format import InputFormat
from support.tiny_training import EVAL, SMALL
from support.untrained import load, save_untrained


def build(
    channels=3, conventions="detectron2", pipeline=EVAL, labels=("a", "b", "c"), **settings
) -> Network:
    """A network with scores and masks that differ, the statistics of its norms settled."""
    torch.manual_seed(0)
    labels = list(labels)
    params = {
        "num_classes": len(labels) + 1,
        **SMALL,
        "score_threshold": 0.1,
        "input_channel": channels,
    }
    form = InputFormat("BGR", (110.0,) * channels, (50.0,) * channels, conventions=conventions)
    card = ModelCard(
        ModelParams(**params | settings), labels, list(range(3, 3 + len(labels))), form,
        pretrained=False, transforms=pipeline.to_config(),
    )  # fmt: skip
    network = build_network(card, "cpu")
    module = network.module
    module.roi_heads.box_predictor.cls_score.weight.data.mul_(6)
    module.roi_heads.mask_head.predictor.weight.data.mul_(30)
    for part in module.modules():
        if hasattr(part, "conv2_offset"):
            torch.nn.init.normal_(part.conv2_offset.weight, std=0.02)
        if hasattr(part, "conv3"):  # small residuals, or 50 random layers enlarge rounding far
            part.conv3.norm.weight.data.fill_(0.2)
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # the mean over what it has seen
    with torch.no_grad():
        features = module.backbone(torch.randn(2, channels, 96, 128))
        if "res4" in features:  # without a pyramid the last stage is the box head's
            module.roi_heads.res5(features["res4"])
    network.set_training(False)
    return network


@pytest.fixture(scope="session")
def build_tiny():
    return build


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> tuple:
    """A loaded model, the ONNX file made of it, and what was said of it."""
    folder = tmp_path_factory.mktemp("exported")
    model = load(save_untrained(folder / "model"))
    path: Path = folder / "model.onnx"
    return model, path, export_network(model.network, path, "onnx")
