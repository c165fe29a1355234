"""The command line: as a user meets it in a process of its own, and in this one where that is quicker."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from paddlex_maskrcnn import cli

ROOT = Path(__file__).parents[2]

TINY = """
model:
  backbone: ResNet18
  anchor_sizes: [8, 16, 32, 64, 128]
  fpn_num_channels: 16
  rcnn_batch_size_per_im: 8
  train_post_nms_top_n: 50
  test_post_nms_top_n: 50
data:
  train: {type: DrawnShapes, data_dir: DIR/shapes, num_images: 4, image_size: 64, num_workers: 0}
  eval: {type: DrawnShapes, data_dir: DIR/shapes, split: val, num_images: 2, image_size: 64, num_workers: 0}
  transforms:
    train: [RandomHorizontalFlip, Normalize, {ResizeByShort: {short_size: 64}}]
    eval: [Normalize, {ResizeByShort: {short_size: 64}}]
train:
  num_epochs: 1
  train_batch_size: 2
  warmup_steps: 1
  pretrain_weights: null
  save_dir: DIR/run
predict: {num_pictures: 1}
"""


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=cwd
    )


def train_net(*arguments: str) -> subprocess.CompletedProcess:
    return run(str(ROOT / "train_net.py"), *arguments)


@pytest.fixture
def train(capsys):
    """The train command in this process: exit status, standard output, standard error."""

    def train(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(["train", *arguments])
        return status, *capsys.readouterr()

    return train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny run through train_net.py: its config file, folder and output."""
    folder = tmp_path_factory.mktemp("command")
    config = folder / "tiny.yaml"
    config.write_text(TINY.replace("DIR", str(folder)))
    return config, folder, train_net("--config", str(config))


def test_train(finished):
    _, folder, done = finished
    assert done.returncode == 0, done.stderr
    assert "[TRAIN] Epoch=1/1, Step=2/2" in done.stdout
    assert "[EVAL] Finished, Epoch=1" in done.stdout
    assert (folder / "run" / "best_model" / ".success").exists()
    assert len(list((folder / "run" / "pictures").glob("*.png"))) == 1


def test_output_has_no_noise(finished):
    """Neither the libraries' warnings nor a progress bar when nobody watches."""
    assert finished[2].stderr == ""


def test_the_recorded_configuration_runs_again(finished):
    _, folder, _ = finished
    config = folder / "run" / "config.yaml"
    shown = train_net("--config", str(config), "--print-config")
    assert shown.returncode == 0, shown.stderr
    assert "backbone: ResNet18" in shown.stdout


def test_eval_only(finished, train):
    config, folder, _ = finished
    status, output, errors = train("--config", str(config), "--eval-only")
    assert status == 0, errors
    assert "bbox_mmap=" in output
    assert (folder / "run" / "evaluation" / "segm_results.json").exists()


@pytest.mark.long
@pytest.mark.parametrize("report", ["true", "false"])
def test_evaluation_settings_count_with_and_without_the_report(
    finished, train, monkeypatch, report
):
    import paddlex_maskrcnn.maskrcnn as adapter

    asked, evaluate = [], adapter.evaluate_network

    def noted(*arguments, **more):
        asked.append((more["batch_size"], more["metric"]))
        return evaluate(*arguments, **more)

    monkeypatch.setattr(adapter, "evaluate_network", noted)
    settings = ("evaluate.batch_size=2", "evaluate.metric=VOC", f"predict.report={report}")
    status, _, errors = train("--config", str(finished[0]), "--eval-only", *settings)
    assert status == 0, errors
    assert asked == [(2, "VOC")]


def test_resume_of_a_finished_run(finished, train):
    status, output, errors = train("--config", str(finished[0]), "--resume")
    assert status == 0, errors
    assert "Nothing left to do: 1 of 1 epochs are done" in output


def test_dry_run(finished, train):
    status, output, errors = train(
        "--config", str(finished[0]), "--dry-run", "train.save_dir=never"
    )
    assert status == 0, errors
    assert "steps            2 (2 an epoch)" in output
    assert not Path("never").exists()


def test_predict(finished, tmp_path):
    _, folder, _ = finished
    image = next((folder / "shapes" / "val" / "images").iterdir())
    best = folder / "run" / "best_model"
    assert cli.main(["predict", str(best), str(image), "--output", str(tmp_path)]) == 0
    assert (tmp_path / "predictions.json").exists()
    assert (tmp_path / f"visualize_{image.name}").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "nowhere.yaml"], "error: there is no configuration file nowhere.yaml"),
        (["--config", "CONFIG", "model.backbone=x"], "error: command line: model.backbone is 'x'"),
        (["--config", "CONFIG", "model.num_classes=3"], "error: num_classes is 3, but"),
        (["--config", "CONFIG", "data.train.image_siz=1"], "did you mean 'image_size'"),
        (
            ["--config", "CONFIG", "--eval-only", "--model", "nowhere"],
            "error: there is no model directory nowhere",
        ),
    ],
)
def test_mistakes_end_with_one_message(finished, train, arguments, message):
    status, _, errors = train(*[str(finished[0]) if one == "CONFIG" else one for one in arguments])
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.long
def test_sigterm_ends_with_its_status_and_a_resume_finishes(finished, train, tmp_path, monkeypatch):
    from paddlex_maskrcnn.engine.trainer import Trainer

    step = Trainer.run_step

    def is_taken_away(self):
        os.kill(os.getpid(), signal.SIGTERM)
        step(self)

    monkeypatch.setattr(Trainer, "run_step", is_taken_away)
    arguments = ("--config", str(finished[0]), f"train.save_dir={tmp_path}")
    status, _, errors = train(*arguments)
    assert status == 143
    assert "SIGTERM after step 1" in errors
    assert "Traceback" not in errors
    monkeypatch.undo()
    status, output, _ = train(*arguments, "--resume")
    assert status == 0
    assert "Resumed from" in output
    assert "Step=2/2" in output


def test_our_own_defects_keep_their_traceback(finished, train, monkeypatch):
    import torch

    def fails(*_, **__):
        return torch.zeros(2).view(3)

    monkeypatch.setattr("paddlex_maskrcnn.config.load.load_experiment", fails)
    with pytest.raises(RuntimeError):
        train("--config", str(finished[0]))


@pytest.mark.parametrize(
    "arguments", [["train_net.py", "--help"], ["-m", "paddlex_maskrcnn", "--help"]]
)
def test_help_is_quick(arguments):
    """No torch is imported for it. Seconds of the processor: the machine may be busy."""
    start = os.times()
    done = run(*arguments, cwd=ROOT)
    end = os.times()
    assert done.returncode == 0
    assert end.children_user + end.children_system - start.children_user - start.children_system < 1
    probe = "import runpy, sys; sys.argv = ['x', '--help']\n"
    probe += "try: runpy.run_module('paddlex_maskrcnn')\n"
    probe += "except SystemExit: pass\nprint('torch' in sys.modules, 'detectron2' in sys.modules)"
    assert run("-c", probe).stdout.splitlines()[-1] == "False False"


def test_a_reader_that_leaves_early_is_no_defect():
    """As `| head` does."""
    command = [sys.executable, "-m", "paddlex_maskrcnn", "hyperparameters"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() == 1


def test_without_detectron2_the_error_says_how_to_install_it():
    probe = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'detectron2' else find(name, *rest)\n"
        "import paddlex_maskrcnn as pdx\npdx.det"
    )
    done = run("-c", probe)
    assert "python -m paddlex_maskrcnn install-detectron2" in done.stderr
    assert done.stderr.strip().splitlines()[-2].startswith("ModuleNotFoundError: paddlex_maskrcnn")


def test_installing_again_does_nothing():
    done = run("-m", "paddlex_maskrcnn", "install-detectron2")
    assert (done.returncode, done.stdout) == (0, "Detectron2 is installed already\n")


@pytest.fixture
def network_that_errs(monkeypatch):
    """In place of what a network finds: the drawn objects, moved, with any score, some as another class."""
    from paddlex_maskrcnn.inference import evaluate as module
    from paddlex_maskrcnn.inference.detections import BoxMask, Detection

    def detect(network, batch):
        return [sorted(drawn(image), key=lambda one: -one.score) for image in batch]

    def drawn(image):
        shapes = Path(image["file_name"]).parents[1]
        (ann_file,) = shapes.glob("*.json")
        random = np.random.default_rng(image["image_id"])
        for row in json.loads(ann_file.read_text())["annotations"]:
            if row["image_id"] == image["image_id"]:
                yield moved(row, random)

    def moved(row, random):
        x, y, w, h = (int(value) for value in row["bbox"])
        x += int(random.integers(-2, 3)) if x > 2 else 0
        bits = np.ones((max(h, 1), max(w, 1)), np.uint8)[: 64 - y, : 64 - x]
        label = int(random.integers(2)) if random.random() < 0.3 else row["category_id"] - 1
        box = (float(x), float(y), float(x + bits.shape[1]), float(y + bits.shape[0]))
        return Detection(box, float(random.random()), label, BoxMask(x, y, bits))

    monkeypatch.setattr(module, "detect", detect)


def test_log_metrics_report_and_analysis_show_the_same_numbers(
    tmp_path, train, network_that_errs, capsys
):
    config, run_dir = tmp_path / "tiny.yaml", tmp_path / "run"
    config.write_text(
        TINY.replace("DIR", str(tmp_path)).replace("val, num_images: 2", "val, num_images: 9")
    )
    status, _, errors = train("--config", str(config))
    assert status == 0, errors
    log = (run_dir / "train.log").read_text()
    table = {
        line.split()[0]: line.split()[1:]
        for line in log.splitlines()
        if line[:5] in ("bbox ", "segm ")
    }
    (row,) = (
        one for one in map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
        if one["kind"] == "eval"
    )  # fmt: skip
    numbers = json.loads((run_dir / "evaluation" / "metrics.json").read_text())
    analysis = json.loads((run_dir / "evaluation" / "analysis.json").read_text())
    page = html_text(run_dir / "report.html")
    for kind, name in (("bbox", "box"), ("segm", "mask")):
        found = numbers[kind]
        assert analysis[kind]["average_precision"] == found
        assert (row[f"{kind}_mmap"], row[f"{kind}_ap50"]) == (found["ap"], found["ap50"])
        assert row[f"{kind}_ap_by_class"] == found["by_class"]
        point = found["overall"]
        shown = [point["precision"], point["recall"], point["f1"]]
        assert table[kind][-4:] == [*(f"{v:.4f}" for v in shown), f"{point['threshold']:.3f}"]
        assert table[kind][:2] == [f"{found[key]:.4f}" for key in ("ap", "ap50")]
        assert f"{name} AP {found['ap']:.3f} " in page
        assert 0 < found["ap"] < point["f1"] < 1
    for what, value in zip(("precision", "recall", "F1"), shown, strict=True):
        assert f"{what} {value:.3f} at score {point['threshold']:.2f}" in page
    before = (run_dir / "evaluation" / "analysis.json").read_text()
    assert cli.main(["analyze", str(run_dir), "--device", "cpu"]) == 0, capsys.readouterr().err
    assert (run_dir / "evaluation" / "analysis.json").read_text() == before
    assert html_text(run_dir / "report.html") == page


def html_text(path):
    """What a reader sees of a page, without pictures."""
    text = re.sub(r"<(style|svg).*?</\1>|<[^>]*>", " ", path.read_text(), flags=re.DOTALL)
    return " ".join(text.split())
