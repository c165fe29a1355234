"""Commands with an experiment whose values are `auto`: chosen before training, recorded, taken up again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from paddlex_maskrcnn import cli
from paddlex_maskrcnn.cli.experiment import open_images, preview_auto, resolve_auto
from paddlex_maskrcnn.config import auto_rules
from paddlex_maskrcnn.config.auto import Budget
from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.engine.trainer import Trainer
from paddlex_maskrcnn.maskrcnn import MaskRCNN

ROOT = Path(__file__).parents[2]
FILE = """
model:
  backbone: ResNet18
  anchor_sizes: [8, 16, 32, 64, 128]
  fpn_num_channels: 16
  rcnn_batch_size_per_im: 8
  train_post_nms_top_n: 50
  test_post_nms_top_n: 4
  keep_top_k: auto
  score_threshold: 0.01
  device: cpu
data:
  train: {type: DrawnShapes, data_dir: DIR/shapes, num_images: 4, image_size: 64, num_workers: 0}
  eval: {type: DrawnShapes, data_dir: DIR/shapes, split: val, num_images: 1, image_size: 64, num_workers: 0}
  transforms:
    train: [RandomHorizontalFlip, Normalize, {ResizeByShort: {short_size: auto, max_size: 64}}]
    eval: [Normalize, {ResizeByShort: {short_size: auto, max_size: 64}}]
train:
  num_epochs: auto
  train_batch_size: auto
  save_interval_epochs: auto
  learning_rate: auto
  warmup_steps: auto
  lr_decay_epochs: auto
  pretrain_weights: null
  log_interval_steps: 1
  save_dir: DIR/run
predict: {num_pictures: 0, report: false}
"""
SIZE = "data.transforms.eval[1].ResizeByShort.short_size"


@pytest.fixture(scope="module", autouse=True)
def _short_runs():
    """Runs of two epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auto_rules, "_LEAST_PASSES", 1)
        patch.setattr(auto_rules, "_LEAST_STEPS", {"cpu": 4})
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("auto")
    path = folder / "auto.yaml"
    path.write_text(FILE.replace("DIR", str(folder)))
    return path


def train(*arguments):
    return cli.main(["train", "--config", *map(str, arguments)])


@pytest.fixture(scope="module")
def finished(file):
    assert train(file, "data.eval=null") == 0
    return file.parent / "run"


@pytest.fixture
def other_rules(monkeypatch):
    """As a machine would choose that has nothing in common with this one."""
    monkeypatch.setattr(auto_rules, "_LEAST_PASSES", 7)
    monkeypatch.setattr(auto_rules, "_RATE_OF_AN_IMAGE", 0.5)
    monkeypatch.setattr(auto_rules, "_CPU_IMAGES", 1)
    monkeypatch.setattr(auto_rules, "_SIZES", {"cpu": (32, 32, 32)})


def values(folder):
    """What config.yaml says, and what it says behind it."""
    text = (folder / "config.yaml").read_text()
    return yaml.safe_load(text), [line for line in text.splitlines() if "  # auto: " in line]


def test_values_and_reasons_are_recorded(finished):
    content, reasons = values(finished)
    train = content["train"]
    assert (train["num_epochs"], train["train_batch_size"], train["lr_decay_epochs"]) == (2, 2, [1])
    assert content["data"]["transforms"]["eval"][1] == {
        "ResizeByShort": {"short_size": 64, "max_size": 64}
    }
    assert len(reasons) == 9
    assert (
        "  num_epochs: 2  # auto: at least 4 steps on a CPU; 2 steps per epoch (4 images, batch 2)"
        in reasons
    )
    assert "short_size: auto" not in (finished / "config.yaml").read_text()


def test_the_log_has_them_and_the_model_knows_no_other(finished):
    log = (finished / "train.log").read_text()
    assert "train.learning_rate is 0.0025: 1/800 for each of 2 images of a batch" in log
    card = yaml.safe_load((finished / "epoch_2" / "model.yml").read_text())
    assert card["experiment"] == values(finished)[0]
    assert card["transforms"][-1]["ResizeByShort"]["short_size"] == 64
    settings = torch.load(finished / "epoch_2" / "state.pth", weights_only=True)["settings"]
    settings = json.loads(settings) if isinstance(settings, str) else settings
    assert settings["train.num_epochs"] == 2
    assert settings["data.train.transforms"][2]["ResizeByShort"]["short_size"] == 64


def test_a_resume_takes_them_from_there(finished, file, other_rules, capsys):
    before = values(finished)
    assert train(file, "--resume", "data.eval=null") == 0
    assert "Nothing left to do: 2 of 2 epochs are done" in capsys.readouterr().out
    assert values(finished) == before
    for name in ("auto", finished / "epoch_2"):
        loaded = load_experiment(file, [f"train.resume_checkpoint={name}"])
        assert preview_auto(loaded, {}).experiment.train.num_epochs == 2
    assert preview_auto(load_experiment(file), {}).experiment.train.num_epochs == 7


def test_a_folder_without_a_model_is_no_run_to_take_from(file, tmp_path):
    (tmp_path / "config.yaml").write_text("train: {num_epochs: 77}")
    wanted = [f"train.save_dir={tmp_path}", "train.resume_checkpoint=auto"]
    assert preview_auto(load_experiment(file, wanted), {}).experiment.train.num_epochs == 2


def test_a_resumed_run_equals_the_uninterrupted(finished, file, other_rules, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(auto_rules, "_LEAST_PASSES", 1)
    monkeypatch.setattr(auto_rules, "_LEAST_STEPS", {"cpu": 4})
    step = Trainer.run_step

    def dies(self):
        if self.progress.step == 3:
            raise MemoryError("killed")
        step(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run_step", dies)
        with pytest.raises(MemoryError):
            train(file, "data.eval=null", f"train.save_dir={tmp_path}")
    monkeypatch.setattr(auto_rules, "_RATE_OF_AN_IMAGE", 0.5)
    monkeypatch.setattr(auto_rules, "_LEAST_PASSES", 9)
    assert train(file, "data.eval=null", f"train.save_dir={tmp_path}", "--resume") == 0
    whole, resumed = (
        torch.load(folder / "epoch_2" / "model.pth", weights_only=True)
        for folder in (finished, tmp_path)
    )
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    (written, reasons), (again, same) = values(finished), values(tmp_path)
    again["train"]["save_dir"] = written["train"]["save_dir"]
    again["train"]["resume_checkpoint"] = None
    assert (again, same) == (written, reasons)


def test_other_settings_are_told_as_before(finished, file, capsys):
    assert train(file, "--resume", "data.eval=null", "train.learning_rate=0.1") != 0
    assert "train.learning_rate was 0.0025 and is 0.1" in capsys.readouterr().err


def test_evaluation_uses_the_operators_of_the_model(finished, file, other_rules, monkeypatch):
    import paddlex_maskrcnn.maskrcnn as adapter

    used, evaluate = [], adapter.evaluate_network

    def noted(network, dataset, transforms, **more):
        used.append((transforms.to_config(), dataset.transforms.to_config()))
        return evaluate(network, dataset, transforms, **more)

    monkeypatch.setattr(adapter, "evaluate_network", noted)
    assert train(file, "--eval-only", "--model", finished / "epoch_2") == 0
    assert cli.main(["evaluate", str(finished / "epoch_2"), "--config", str(file)]) == 0
    own = yaml.safe_load((finished / "epoch_2" / "model.yml").read_text())["transforms"]
    assert used == [(own, own)] * 2


def test_shown_where_the_data_can_be_opened(file, capsys):
    assert train(file, "--print-config") == 0
    assert "  num_epochs: 2    " in capsys.readouterr().out
    assert train(file, "--print-config", "--num-gpus", "3") == 0
    assert "1 in each of 3 processes" in capsys.readouterr().out
    missing = ("data.train={type: CocoDetection, data_dir: nowhere, ann_file: nothing.json}",)
    assert train(file, "--print-config", *missing) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "# auto is chosen when training starts; the data cannot be opened yet: "
    )
    assert "num_epochs: auto " in shown
    yaml.safe_load(shown)


def test_showing_needs_no_torch(file, finished):
    code = (
        "import sys; from paddlex_maskrcnn import cli; from paddlex_maskrcnn import system;"
        "system.may_have_gpu = lambda: False;"
        f"cli.main(['train', '--config', {str(file)!r}, '--print-config', 'model.device=auto']);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "projects")},
    )  # fmt: skip
    assert done.stdout.endswith("False\n"), done.stderr
    assert "# auto: " in done.stdout


def test_other_commands_choose_too(file, tmp_path, capsys):
    assert train(file, "--dry-run", f"train.save_dir={tmp_path}") == 0
    assert "steps            4 (2 an epoch)" in capsys.readouterr().out
    for split in ("train", "eval"):
        to = ["--split", split, "--num", "1", "--to", str(tmp_path / split)]
        assert cli.main(["browse", "--config", str(file), *to]) == 0
    assert len(list(tmp_path.glob("*/0*.png"))) == 2
    page = ["--html", str(tmp_path / "page.html"), "--fail-on", "never", "--num-workers", "0"]
    assert cli.main(["check", "--config", str(file), *page]) == 0
    assert "ResizeByShort(short_size=64, max_size=64)" in capsys.readouterr().out


def test_check_of_held_out_data_alone(file, tmp_path, capsys):
    page = ["--html", str(tmp_path / "page.html"), "--fail-on", "never", "--num-workers", "0"]
    assert cli.main(["check", "--config", str(file), "data.train=null", *page]) == 0
    assert "short_size=64" in capsys.readouterr().out


def test_without_training_data_there_is_nothing_to_choose_by(file, tmp_path, capsys):
    to = ["--split", "eval", "--to", str(tmp_path)]
    assert cli.main(["browse", "--config", str(file), "data.train=null", *to]) != 0
    assert "data.train is missing: " in capsys.readouterr().err


def test_a_budget_counts(file):
    loaded = load_experiment(file)
    opened = {"train": open_images(loaded, "train")}
    assert resolve_auto(loaded, opened, Budget(60, 1.0)).experiment.train.num_epochs == 30
    assert opened["train"].transforms is not None
    assert not preview_auto(loaded, opened).experiment.auto


def test_what_is_not_resolved_does_not_train(file):
    with pytest.raises(RuntimeError, match="not resolved before training"):
        MaskRCNN.from_experiment(load_experiment(file).experiment)


@pytest.mark.long
def test_two_processes_have_the_same_values(file, tmp_path):
    """The first one's, and a batch that both share."""
    command = [sys.executable, "-m", "paddlex_maskrcnn", "train", "--config", str(file)]
    command += ["--num-gpus", "2", "train.num_epochs=2", f"train.save_dir={tmp_path}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    content, reasons = values(tmp_path)
    assert content["train"]["train_batch_size"] == 2
    assert any("1 in each of 2 processes" in line for line in reasons)
    assert "2 steps on cpu in 2 processes" in done.stdout
