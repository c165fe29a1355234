"""Every experiment file loads, says what it is for, and builds its network."""

from pathlib import Path

import pytest

from paddlex_maskrcnn.config.auto import DataFacts, Machine, choose, resolved
from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.data.transforms import Compose
from paddlex_maskrcnn.engine.optimizer import factor_of
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


@pytest.mark.parametrize(
    "machine", [Machine(), Machine("cuda", 8), Machine("cuda", 80, 4)], ids=str
)
@pytest.mark.parametrize("num_images", [4, 14, 24, 14_000])
def test_own_data_trains_on_any_number_of_images(num_images, machine, monkeypatch):
    """With numbers in the file its warm-up ended after the first decay in 24 images and fewer."""
    monkeypatch.setenv("DATA", "data")
    experiment = load_experiment(ROOT / "configs" / "own_data.yaml").experiment
    facts = DataFacts(num_images, short_side=600, small_object=0.05, most_objects=20)
    train = resolved(experiment, choose(experiment, facts, machine)).train
    assert train.train_batch_size <= num_images
    factor_of(train, num_images // train.train_batch_size)
    assert train.lr_decay_epochs[-1] < train.num_epochs
    assert 0 < train.warmup_steps <= 500
