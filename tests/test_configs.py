"""Every experiment file loads, says what it is for, and builds its network."""

from pathlib import Path

import pytest

from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.data.transforms import Compose
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def test_there_are_configs():
    assert ROOT / "configs" / "quickstart.yaml" in CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_builds(path, monkeypatch):
    monkeypatch.setenv("DATA", "data")
    experiment = load_experiment(path).experiment
    for operators in (experiment.data.transforms.train, experiment.data.transforms.eval):
        Compose.from_choices(operators)
    labels = ["a", "b"]
    pretrained = experiment.train.pretrain_weights is not None
    card = ModelCard(experiment.model, labels, [1, 2], IMAGENET_RGB, pretrained)
    network = build_network(card, "cpu")
    assert network.module.roi_heads.num_classes == len(labels)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_has_a_header_with_its_command(path):
    header = path.read_text().split("\n\nmodel:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"train_net.py --config configs/{path.name}" in header
