"""The run command itself, on tiny work."""

import json
import shutil
from dataclasses import replace

import pytest
from side_by_side import command, small_parts, training
from side_by_side.command import Bench, main
from side_by_side.equality import check_losses
from side_by_side.record import BEGIN, END
from side_by_side.settings import Settings, read_variant

TINY = Settings(threads=1, rounds=1, size=64, batch_size=1, regions=16, clock="cpu", quick=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Drawn images and weights, for all tests here."""
    folder = tmp_path_factory.mktemp("bench")
    yield Bench(TINY, folder)
    shutil.rmtree(folder)


@pytest.mark.long
def test_other_weights_are_seen(bench, tmp_path):
    """One layer of ours differs by a hundredth; with the same weights the losses are equal, below."""
    import torch

    from paddlex_maskrcnn.inference.model_directory import WEIGHTS

    other = tmp_path / "ours"
    shutil.copytree(bench.weights.ours, other)
    state = torch.load(other / WEIGHTS, weights_only=True)
    state["roi_heads.box_head.fc1.weight"] *= 1.01
    torch.save(state, other / WEIGHTS)
    batches = training.read_batches(bench.pictures, bench.weights, TINY)
    with training.built_plain():
        changed = training.ours(other, batches, bench.pictures, TINY).first_losses()
    expected = training.stock(bench.weights, batches, TINY).first_losses()
    shutil.rmtree(other)
    assert not check_losses("x", changed, expected, tolerance=0).passed


def test_a_run_writes_what_it_measured(tmp_path, capsys, monkeypatch):
    path, page = tmp_path / "bench.json", tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    monkeypatch.setattr(command, "PARTS", ("nms",))
    arguments = ["--threads", "1", "--rounds", "1"]
    assert main([*arguments, "--json", str(path), "--write", str(page)]) == 0
    plain = json.loads(path.read_text(encoding="utf-8"))
    assert {row["part"] for row in plain["rows"]} == {"NMS"}
    assert plain["command"].startswith("python benchmarks/run.py --threads 1 --rounds 1")
    assert plain["settings"]["rounds"] == 1
    assert len(plain["checks"]) == 2
    assert all(check["passed"] for check in plain["checks"])
    assert "NMS, 1000 proposals x 80 classes" in capsys.readouterr().out
    assert "| NMS |" in page.read_text(encoding="utf-8")


@pytest.mark.long
def test_predictions_of_a_quick_run_are_compared(tmp_path, capsys):
    arguments = ["--quick", "--threads", "1", "--parts", "predict", "--rounds", "1"]
    assert main([*arguments, "--json", str(tmp_path / "bench.json")]) == 0
    assert "   equal: detections, Detectron2: " in capsys.readouterr().out


def test_files_of_other_runs_stay():
    assert command._default_json(command.PARTS, Settings()) == "output/bench.json"
    assert command._default_json(["nms"], Settings()) == "output/bench_parts.json"
    assert command._default_json(command.PARTS, TINY) == "output/bench_quick.json"


def test_masks_are_pasted_and_images_loaded_alike(bench):
    for part in (small_parts.pasting(TINY), small_parts.loading(bench.pictures, TINY)):
        assert all(check.passed for check in part.checks), part.checks
        assert {row.against for row in part.rows} == {"Detectron2", "torchvision"}


@pytest.mark.long
def test_a_training_step_is_compared_with_both(bench):
    part = bench.step()
    assert [row.against for row in part.rows] == ["Detectron2", "torchvision"]
    assert [check.passed for check in part.checks] == [True] * 3, part.checks


@pytest.mark.long
def test_all_samples_give_equal_losses_whatever_is_drawn(bench):
    """As on a GPU, where the same seed gives other samples."""
    found = training.checks_of_all_samples(bench.pictures, bench.weights, TINY)
    assert [check.passed for check in found] == [True] * 3, found


def test_turns_and_steps_that_warm_up():
    compiled = read_variant("compiled:train.compile=true")
    assert training.warm_up_turns(TINY) == training.steps_of_a_turn(TINY) == 1
    assert training.warm_up_turns(replace(TINY, variants=[compiled])) == 8
    gpu = replace(TINY, device="cuda")
    assert (training.warm_up_turns(gpu), training.steps_of_a_turn(gpu)) == (2, 4)
    steps = []
    stepper = training.Stepper(lambda: steps.append(1), dict)
    training.turns_of({"ours": stepper}, gpu)["ours"]()
    assert len(steps) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parts", "steps"], "--parts is 'steps'; choose some of step,predict"),
        (["--variant", "fast"], "--variant is 'fast'; give NAME:train.KEY=VALUE"),
        (["--variant", "a:amp=bf16"], "'amp=bf16' is not model.KEY=VALUE or train.KEY=VALUE"),
        (["--variant", "a:train.ema=2"], "'a:train.ema=2': train.ema is 2"),
        (["--variant", "a:train.emma=0.9"], "train.emma is not a known key; did you mean 'ema'?"),
        (["--variant", "a:model.backbone=ResNet"], "model.backbone is 'ResNet'"),
        (["--write", "x.md", "--quick"], "--write replaces the whole table; leave out --quick"),
        (["--rounds", "0"], "argument --rounds: is '0'; a whole number from 1 on is needed"),
        (["--json", "."], "argument --json: is '.', which is a folder; name a file"),
    ],
)
def test_mistakes_are_told(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_the_plain_path_is_not_measured(monkeypatch, capsys):
    monkeypatch.setenv("PADDLEX_MASKRCNN_PLAIN", "1")
    with pytest.raises(SystemExit):
        main(["--parts", "nms"])
    assert "PADDLEX_MASKRCNN_PLAIN is set" in capsys.readouterr().err


def test_a_variant_is_read():
    found = read_variant("fast:train.amp=bf16,train.ema=0.9,model.keep_top_k=50")
    assert found.name == "fast"
    assert found.train == {"amp": "bf16", "ema": 0.9}
    assert found.model == {"keep_top_k": 50}


def test_a_variant_with_a_list():
    found = read_variant("x:model.anchor_sizes=[8, 16,32,64, 128],train.ema=0.9")
    assert found.model == {"anchor_sizes": [8, 16, 32, 64, 128]}
    assert found.train == {"ema": 0.9}
