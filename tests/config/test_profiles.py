"""Profiles: what they fill in, that what is written wins, and that a run needs no profile to go on."""

import logging
import re
from pathlib import Path

import pytest
import yaml

from paddlex_maskrcnn import cli
from paddlex_maskrcnn.config.check import ConfigError, check_arguments
from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.config.params import default_of
from paddlex_maskrcnn.config.profiles import PROFILES, profile
from paddlex_maskrcnn.config.schema import ModelParams, TrainParams
from paddlex_maskrcnn.config.show import as_plain, show

KINDS = {"model": ModelParams, "train": TrainParams}
PLAIN = {
    "model": {"backbone": "ResNet18", "keep_top_k": 50},
    "data": {"train": {"data_dir": "a", "ann_file": "b"}},
    "train": {"num_epochs": 2},
}
FAST = PROFILES["fast"]
PAGE = Path(__file__).parents[2] / "docs" / "profiles.md"
SET_BY_FAST = {row.key: row.of(PLAIN[row.key.split(".")[0]]) for row in FAST}


@pytest.fixture
def load(tmp_path):
    """Loads plain data as a file, with overrides."""

    def load(content, *overrides):
        path = tmp_path / "experiment.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return load_experiment(path, overrides)

    return load


def value(experiment, key):
    section, _, name = key.partition(".")
    return getattr(getattr(experiment, section), name)


def spelled_out(content, values):
    """The content with the values written into it."""
    content = {name: dict(section) for name, section in content.items()}
    for key, one in values.items():
        section, _, name = key.partition(".")
        content[section].setdefault(name, one)
    return content


@pytest.mark.parametrize("row", FAST, ids=lambda row: row.key)
def test_every_row_exists_differs_from_its_default_and_has_a_reason(row):
    section, _, name = row.key.partition(".")
    required = {"num_epochs": 1, "train_dataset": None} if section == "train" else {}
    chosen = check_arguments(KINDS[section], {**required, name: row.of({})})
    assert getattr(chosen, name) == row.of({}) != getattr(KINDS[section](**required), name)
    assert row.reason.endswith(".")
    assert bool(row.meaning) == callable(row.value)


def test_the_profile_is_the_file_that_spells_it_out(load):
    fast = load({"profile": "fast", **PLAIN}).experiment
    assert fast == load(spelled_out(PLAIN, SET_BY_FAST)).experiment
    assert fast != load(PLAIN).experiment
    assert fast.model.num_classes is None, "still taken from the data"


def test_nothing_else_changes(load):
    fast, plain = as_plain(load({"profile": "fast", **PLAIN}).experiment), load(PLAIN).experiment
    for key in SET_BY_FAST:
        section, _, name = key.partition(".")
        fast[section][name] = value(plain, key)
    assert fast == as_plain(plain)


def test_default_fills_in_nothing(load):
    loaded = load({"profile": "default", **PLAIN})
    assert loaded.experiment == load(PLAIN).experiment
    assert loaded.profiled == {}


@pytest.mark.parametrize("row", FAST, ids=lambda row: row.key)
@pytest.mark.parametrize("where", ["file", "command line"])
def test_what_is_written_wins(load, row, where):
    """Also a value that is the row's own default."""
    default = value(load(PLAIN).experiment, row.key)
    if where == "file":
        loaded = load({"profile": "fast", **spelled_out(PLAIN, {row.key: default})})
    else:
        loaded = load({"profile": "fast", **PLAIN}, f"{row.key}={default}")
    assert value(loaded.experiment, row.key) == default
    assert loaded.profiled.keys() == SET_BY_FAST.keys() - {row.key}


def test_the_command_line_chooses_the_profile(load):
    assert load(PLAIN, "profile=fast").experiment == load({"profile": "fast", **PLAIN}).experiment
    assert (
        load({"profile": "fast", **PLAIN}, "profile=default").experiment == load(PLAIN).experiment
    )


@pytest.mark.parametrize(
    ("keep_top_k", "proposals"), [(1, 300), (100, 300), (150, 450), (400, 1000), (5000, 1000)]
)
def test_proposals_follow_the_detections_that_are_asked_for(load, keep_top_k, proposals):
    """A file for crowded images keeps what its images need."""
    loaded = load({"profile": "fast", **PLAIN}, f"model.keep_top_k={keep_top_k}")
    assert loaded.experiment.model.test_post_nms_top_n == proposals


def test_a_file_without_a_model_and_without_a_run(load):
    loaded = load({"profile": "fast", "data": PLAIN["data"]})
    assert loaded.experiment.train is None
    assert set(loaded.profiled) == {row.key for row in FAST if row.key.startswith("model.")}


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            {"profile": "fats"},
            ["experiment.yaml:1: profile is 'fats'; choose one of default, fast"],
        ),
        ({"profile": "fats"}, ["did you mean 'fast'?"]),
        ({"profile": ["fast"]}, ["profile is ['fast']; choose one of default, fast"]),
        ({"profile": None}, ["profile is empty; choose one of default, fast"]),
        ({"profile": 3}, ["profile is 3; choose one of default, fast"]),
        ({"profil": "fast"}, ["profil is not a section", "did you mean 'profile'?"]),
        ({"profile": "fast", "model": 7}, ["model is 7; allowed: a mapping of keys to values"]),
        ({"profile": "fast", "model": {"keep_top_k": "all"}}, ["model.keep_top_k is 'all'"]),
        ({"profile": "fast", "train": {}}, ["train.num_epochs is missing"]),
        ({"profile": "fats", "model": {"keep_top_k": 0}}, ["profile is", "keep_top_k is 0"]),
    ],
)
def test_mistakes_are_told(load, change, messages):
    with pytest.raises(ConfigError) as caught:
        load(change if "profile" in change else {**change, **PLAIN})
    for message in messages:
        assert message in str(caught.value)


def test_a_profile_without_effect_says_so(load, caplog):
    with caplog.at_level(logging.WARNING):
        load({"profile": "fast", **PLAIN})
        assert not caplog.records
        load({"profile": "fast", **spelled_out(PLAIN, SET_BY_FAST)})
        assert "profile fast has no effect: " in caplog.text
        assert "model.rcnn_batch_size_per_im is given as 128" in caplog.text


def test_a_profile_whose_values_are_the_defaults_has_no_effect(load, caplog):
    rows = {"rcnn_batch_size_per_im": 256, "keep_top_k": 400}
    with caplog.at_level(logging.WARNING):
        load({**PLAIN, "profile": "fast", "model": rows})
    [found] = [one.getMessage() for one in caplog.records]
    assert found == (
        "profile fast has no effect: model.rcnn_batch_size_per_im is given as 256 and "
        "model.test_post_nms_top_n stays 1000"
    )


def test_shown_with_its_origin_and_reads_back(load, tmp_path):
    loaded = load({"profile": "fast", **PLAIN})
    shown = [line.split("  # ") for line in show(loaded).splitlines() if "  # " in line]
    places = {text.split(":")[0].strip(): place for text, place in shown}
    assert places["profile"].endswith("experiment.yaml:1")
    assert places["backbone"].endswith("experiment.yaml:3")
    for key in SET_BY_FAST:
        assert places[key.partition(".")[2]] == "profile fast"
    again = tmp_path / "again.yaml"
    again.write_text(show(loaded).replace("  num_classes: null", "  # "))
    assert load_experiment(again).experiment == loaded.experiment


def test_recorded_without_the_profile(load, tmp_path):
    loaded = load({"profile": "fast", **PLAIN})
    recorded = as_plain(loaded.experiment)
    assert "profile" not in recorded
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(recorded))
    assert load_experiment(again).experiment == loaded.experiment


def test_in_python():
    rows = {row.name: row.of({}) for row in FAST if row.key.startswith("model.")}
    assert profile("fast") == rows
    assert profile("fast", num_classes=4, rcnn_batch_size_per_im=64) == rows | {
        "num_classes": 4,
        "rcnn_batch_size_per_im": 64,
    }
    assert profile("fast", keep_top_k=200)["test_post_nms_top_n"] == 600
    assert profile("default", num_classes=4) == {"num_classes": 4}
    assert profile("fast", "train", seed=3).keys() == {"seed"} | {
        row.name for row in FAST if row.key.startswith("train.")
    }


@pytest.mark.parametrize(("name", "section"), [("fats", "model"), ("fast", "data")])
def test_mistakes_in_python(name, section):
    with pytest.raises(ConfigError, match="choose one of"):
        profile(name, section)


def test_the_adapter_takes_it():
    from paddlex_maskrcnn import det

    model = det.MaskRCNN(**det.profile("fast", num_classes=4, backbone="ResNet18"))
    assert model.params == ModelParams(**profile("fast"), num_classes=4, backbone="ResNet18")


def test_the_page_has_every_row_with_its_reason():
    page = PAGE.read_text(encoding="utf-8")
    for row in FAST:
        section, _, name = row.key.partition(".")
        default = default_of(KINDS[section].__dataclass_fields__[name])
        text = row.meaning or row.value
        assert f"| `{row.key}` | {default} | {text} | {row.reason} |" in page


def test_the_page_s_python_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names = {}
    for code in blocks:
        exec(compile(code, str(PAGE), "exec"), names)
    assert names["model"].params.test_post_nms_top_n == 300


@pytest.fixture
def small(tmp_path):
    """A file of a run of two steps, one an epoch."""
    small_data = {"type": "DrawnShapes", "data_dir": str(tmp_path / "shapes"), "image_size": 64}
    content = {
        "profile": "fast",
        "model": {"backbone": "ResNet18", "fpn_num_channels": 16},
        "data": {
            "train": {**small_data, "num_images": 2, "num_workers": 0},
            "transforms": {"train": ["Normalize", {"ResizeByShort": {"short_size": 64}}]},
        },
        "train": {
            "num_epochs": 2, "train_batch_size": 2, "warmup_steps": 1, "lr_decay_epochs": [2],
            "pretrain_weights": None, "save_dir": str(tmp_path / "run"),
        },
    }  # fmt: skip
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.mark.long
def test_a_run_goes_on_from_its_record_without_the_profile(small, tmp_path, capsys):
    """And loading its model gives the profile's rows; leaving out the profile is named as a change."""
    from paddlex_maskrcnn import load_model

    run = tmp_path / "run"
    once = ["train.num_epochs=1", "train.lr_decay_epochs=[2]"]
    assert cli.main(["train", "--config", str(small), *once]) == 0
    recorded = yaml.safe_load((run / "config.yaml").read_text())
    assert {key: recorded["model"][key.partition(".")[2]] for key in SET_BY_FAST} == SET_BY_FAST
    more = ["--resume", "--allow-changes", "train.num_epochs=2"]
    assert cli.main(["train", "--config", str(run / "config.yaml"), *more]) == 0
    printed = capsys.readouterr().out
    assert "Resumed from" in printed
    assert "rcnn_batch_size_per_im" not in printed, "only the number of epochs has changed"
    assert load_model(run / "epoch_2").params.test_post_nms_top_n == 300
    assert cli.main(["train", "--config", str(small), "--resume", "profile=default"]) == 2
    assert "model.rcnn_batch_size_per_im was 128 and is 512" in capsys.readouterr().err
