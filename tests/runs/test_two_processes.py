"""Two processes against one, with the same batch."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Weights that stay as they are: what is compared in a later step does not go through what NMS and
# sampling chose in an earlier one, which rounding decides. That two processes also make the same of
# it all is tested on the same proposals in tests/test_processes.py.
# Gradients are not compared here: with live batch statistics (model.norm BN, SyncBN) all pixels of a flat
# area share one activation, and where that is near zero rounding decides the ReLU of thousands of pixels
# at once. Moving the norms' outputs by 1e-7 changes the norm of one process's first gradient by up to 2e-4
# on drawn images, as much as a second process does; with FrozenBN two equal one to 1e-7.
AT_REST = ("train.learning_rate=1e-30", "train.warmup_steps=0")
BEFORE_NMS = ("loss_rpn_cls", "loss_rpn_bbox")


def assert_same_run(one, two, metrics):
    """The same rows; the losses before NMS, of the same images and anchors, up to rounding."""
    rows, others = metrics(one), metrics(two)
    assert [row.keys() for row in rows] == [row.keys() for row in others]
    compared = 0
    for a, b in zip(rows, others, strict=True):
        for key in ("kind", "step", "epoch", "lr"):
            assert a.get(key) == b.get(key)
        for key in a:
            if key.removeprefix("val_") in BEFORE_NMS:
                assert a[key] == pytest.approx(b[key], rel=1e-4, abs=1e-6), (a["step"], key)
                compared += 1
    assert compared >= 12


@pytest.mark.long
def test_same_run(trained_alone, run, metrics, tmp_path):
    """Steps, learning rates and what is written are those of one process."""
    printed = run(tmp_path, "train.seed=1", "predict.report=true", processes=2)
    assert "on cpu in 2 processes" in printed
    assert (trained_alone / "report.html").is_file()
    assert (tmp_path / "report.html").is_file()
    rows, others = metrics(trained_alone), metrics(tmp_path)
    assert [row.keys() for row in rows] == [row.keys() for row in others]
    for key in ("kind", "step", "epoch", "lr"):
        assert [row.get(key) for row in rows] == [row.get(key) for row in others]
    # the first step has a learning rate of 0
    for row, other in zip(rows[:2], others[:2], strict=True):
        for key in BEFORE_NMS:
            assert row[key] == pytest.approx(other[key], rel=1e-4)


@pytest.mark.long
def test_same_run_with_everything(run, metrics, tmp_path):
    """Focal loss, Libra, balanced classes, averaged weights, the loss on held-out data."""
    settings = (
        *AT_REST,
        "model.rpn_cls_loss=SigmoidFocalLoss",
        "model.bbox_assigner=LibraBBoxAssigner",
        "train.train_batch_size=4",
        "train.repeat_threshold=0.5",
        "train.validation_loss=true",
        "train.ema=0.9",
    )
    run(tmp_path / "one", *settings)
    run(tmp_path / "two", *settings, processes=2)
    assert_same_run(tmp_path / "one", tmp_path / "two", metrics)


@pytest.mark.long
def test_synchronised_norms(run, metrics, tmp_path):
    """Training sees the statistics of the whole batch."""
    settings = (*AT_REST, "model.norm=SyncBN")
    for processes in (1, 2):
        run(tmp_path / str(processes), *settings, processes=processes)
    assert_same_run(tmp_path / "1", tmp_path / "2", metrics)


@pytest.mark.long
def test_evaluation_is_shared(run, trained_alone, tmp_path):
    """Three images over two processes: the numbers and result rows of one process."""
    found = []
    for processes in (1, 2):
        model = ("predict.report=true", "--eval-only", "--model", str(trained_alone / "epoch_1"))
        run(tmp_path / str(processes), *model, processes=processes)
        folder = tmp_path / str(processes) / "evaluation"
        found.append(json.loads((folder / "segm_results.json").read_text(encoding="utf-8")))
        assert list((tmp_path / str(processes)).rglob("report.html"))
    assert found[0] == found[1] != []


@pytest.mark.long
def test_one_mistake_is_told_once(start, tmp_path):
    """Both processes make it; the run ends at once."""
    process = start(tmp_path, "data.train.data_dir=/proc/nothing", processes=2)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode != 0
    assert printed.count("error: ") == 1
    assert "/proc/nothing" in printed


def children(process):
    """The processes that torchrun has started."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text(encoding="utf-8").split()]


def wait_for_rows(process, path, rows):
    while not path.is_file() or len(path.read_text(encoding="utf-8").splitlines()) < rows:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)


def torchrun(experiment, save_dir, *options):
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", *options, "train_net.py", "--config", str(experiment)]
    command += [f"train.save_dir={save_dir}", "train.save_interval_steps=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[2], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("restarts", [0, 1])
def test_a_process_is_killed(experiment, metrics, tmp_path, restarts):
    """The run ends instead of waiting for it; or torchrun starts it anew and it goes on."""
    process = torchrun(experiment, tmp_path, f"--max-restarts={restarts}")
    wait_for_rows(process, tmp_path / "metrics.jsonl", 5)
    os.kill(children(process)[1], signal.SIGKILL)
    printed, _ = process.communicate(timeout=600)
    assert (process.returncode == 0) == bool(restarts), printed
    assert ("Resumed from" in printed) == bool(restarts)
    if restarts:
        steps = [row["step"] for row in metrics(tmp_path) if row["kind"] == "train"]
        assert steps == list(range(1, 13))


@pytest.mark.long
def test_a_killed_process_is_named_before_the_table(start, tmp_path):
    process = start(tmp_path, processes=2)
    wait_for_rows(process, tmp_path / "metrics.jsonl", 2)
    os.kill(children(process)[1], signal.SIGKILL)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 137, printed
    sentence = printed.index("the process of rank 1 (2 in all) was ended by SIGKILL")
    assert "memory runs out" in printed[sentence:]
    assert sentence < printed.index("Root Cause")
    assert "local_rank" not in printed[:sentence]  # torch's own lines about it


@pytest.mark.long
def test_sigterm_reaches_all(start, run, metrics, tmp_path):
    process = start(tmp_path, processes=2)
    wait_for_rows(process, tmp_path / "metrics.jsonl", 2)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 143, printed
    assert "everything is saved" in printed
    run(tmp_path, "--resume", processes=2)
    steps = [row["step"] for row in metrics(tmp_path) if row["kind"] == "train"]
    assert steps == list(range(1, 13))
