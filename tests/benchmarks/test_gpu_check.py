"""benchmarks/gpu_check.sh: its tiny form on the CPU, and what it says of a step that fails."""

import subprocess
import sys
from pathlib import Path

import pytest
from gpu_check import Step, run

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_check.sh"
STEPS = ("timing", "tests", "training_off", "training_bf16", "equality")


@pytest.mark.long
def test_the_tiny_form_passes_on_a_cpu(tmp_path):
    command = [SCRIPT, "--python", sys.executable, "--device", "cpu", "--tiny", "--threads", "1"]
    done = subprocess.run(
        [*command, "--out", "logs"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in STEPS:
        assert f"| {name} | passed |" in done.stdout
        assert (tmp_path / "logs" / f"{name}.log").is_file()


def _fails():
    print("what went wrong")
    raise OSError("no such thing")


def _ends_with_status():
    sys.exit(3)


@pytest.mark.parametrize(
    ("work", "message"),
    [(_fails, "exit status 1"), (_ends_with_status, "exit status 3")],
)
def test_a_step_that_fails(tmp_path, work, message):
    log = tmp_path / "step.log"
    passed, _, text = run(Step("step", 60, work), log)
    assert not passed
    assert text == f"{message}; see {log}"
    if work is _fails:
        assert "what went wrong" in log.read_text()
        assert "OSError: no such thing" in log.read_text()


def test_a_step_that_takes_too_long(tmp_path):
    passed, _, text = run(Step("step", 0, lambda: __import__("time").sleep(60)), tmp_path / "log")
    assert not passed
    assert text.startswith("took longer than 0 s")


def test_a_step_without_result(tmp_path):
    step = Step("step", 60, lambda: 0, lambda: (tmp_path / "nothing").read_text())
    passed, _, text = run(step, tmp_path / "log")
    assert not passed
    assert text.startswith("left no result: ")
