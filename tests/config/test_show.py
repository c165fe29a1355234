"""--print-config and the recorded configuration."""

import pytest
import yaml

from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.config.show import as_plain, show

TEXT = """model: {backbone: ResNet18}
data:
  train: {data_dir: a, ann_file: b}
  transforms:
    train: [Normalize, {ResizeByShort: {short_size: 64}}]
train:
  num_epochs: 2
  optimizer: {name: AdamW}
"""


@pytest.fixture
def loaded(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(TEXT)
    return load_experiment(path, ["train.seed=5"])


def test_each_line_says_where_its_value_came_from(loaded):
    places = {}
    for line in show(loaded).splitlines():
        key, hash_sign, place = line.partition("  # ")
        if hash_sign:
            places[key.split(":")[0].strip()] = place.rpartition("/")[2]
    assert places["backbone"] == "x.yaml:1"
    assert places["num_epochs"] == "x.yaml:7"
    assert places["seed"] == "command line"
    assert places["learning_rate"] == "default"
    assert places["num_classes"] == "from the data"


def test_what_is_shown_reads_back_as_the_same_experiment(loaded, tmp_path):
    again = tmp_path / "again.yaml"
    again.write_text(show(loaded).replace("  num_classes: null", "  # "))
    assert load_experiment(again).experiment == loaded.experiment


def test_what_is_recorded_reads_back_as_the_same_experiment(loaded, tmp_path):
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(as_plain(loaded.experiment)))
    assert load_experiment(again).experiment == loaded.experiment
