"""A run that is killed without warning, again and again, ends as one that never was."""

import random
import signal
import time

import pytest
import torch


def kill_after(process, path, rows, seconds):
    """SIGKILL once the metrics file has that many rows, and a moment later."""
    while process.poll() is None:
        if _rows(path) >= rows:
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    printed, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, printed


def _rows(path):
    return len(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0


@pytest.mark.long
def test_killed_three_times(start, run, metrics, weights, tmp_path):
    """At random moments, while it saves every second step; weights and metrics end the same."""
    settings = ("train.save_interval_steps=2", "train.ema=0.9", "train.validation_loss=true")
    run(tmp_path / "whole", *settings)
    moments = random.Random(7)
    for rows in (3, 6, 10):
        process = start(tmp_path / "killed", *settings, "--resume")
        path = tmp_path / "killed" / "metrics.jsonl"
        kill_after(process, path, rows, moments.uniform(0, 0.3))
    run(tmp_path / "killed", *settings, "--resume")
    for name in ("epoch_1", "epoch_2", "best_model"):
        whole, resumed = (weights(tmp_path / part / name) for part in ("whole", "killed"))
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[key], resumed[key]) for key in whole), name
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "killed")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.long)],
)
def test_sigterm_ends_with_143_and_ctrl_c_with_130(start, tmp_path, number, status):
    process = start(tmp_path)
    while not _rows(tmp_path / "metrics.jsonl"):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.01)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == status, printed
    assert f"{number.name} after step" in printed
    assert (tmp_path / "latest" / ".success").is_file()
