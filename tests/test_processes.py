"""Two processes do what one does with the whole batch: losses, gradients, statistics, averages.

On the same proposals (support/fixed_proposals.py), so that all that is left to differ is rounding.
A reduction that is missing or wrong changes a loss or a gradient by a per cent and more.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from paddlex_maskrcnn.processes import launch
from support.few_steps import few_steps

CASES = {
    "frozen norms": (
        {"norm": "FrozenBN", "rcnn_batch_size_per_im": 128, "rcnn_fg_fraction": 1.0},
        {"ema": 0.9, "clip_gradients": 1.0},
    ),
    # weights that stay: statistics of few values carry rounding far, and further with each step
    "synchronised norms": ({"norm": "SyncBN"}, {"learning_rate": 1e-30}),
    "everything": (
        {
            "norm": "FrozenBN",
            "rpn_cls_loss": "SigmoidFocalLoss",
            "bbox_assigner": "LibraBBoxAssigner",
        },
        {"repeat_threshold": 0.5, "ema": 0.9, "accumulate": 2},
    ),
    "focal loss on all anchors, C4": (
        {
            "norm": "FrozenBN",
            "with_fpn": False,
            "anchor_sizes": [16, 32],
            "rpn_cls_loss": "SigmoidFocalLoss",
            "rpn_focal_loss_on": "all",
        },
        {},
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What one process and each of two have left, by case."""
    folder = tmp_path_factory.mktemp("processes")
    threads = torch.get_num_threads()
    try:
        alone = {name: few_steps(folder, *settings) for name, settings in CASES.items()}
    finally:
        torch.set_num_threads(threads)
    (folder / "cases.json").write_text(json.dumps(CASES), encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", "-m", "support.few_steps", str(folder)]
    tests = Path(__file__).parent
    paths = [str(tests), str(tests.parent / "projects"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    together = [torch.load(folder / f"{rank}.pth", weights_only=True) for rank in (0, 1)]
    return {name: (alone[name], [left[name] for left in together]) for name in CASES}


@pytest.mark.parametrize("case", CASES)
def test_losses_are_those_of_the_whole_batch(runs, case):
    alone, together = runs[case]
    assert len(alone["losses"]) >= 2
    for left in together:
        assert left["losses"][0] == pytest.approx(alone["losses"][0], rel=1e-4, abs=1e-6)
        for mine, expected in zip(left["losses"], alone["losses"], strict=True):
            assert mine == pytest.approx(expected, rel=1e-3, abs=1e-5)  # of weights that have moved


@pytest.mark.parametrize("case", CASES)
def test_every_process_has_the_same_weights(runs, case):
    """Bit for bit: nothing brings them together again."""
    _, (one, two) = runs[case]
    for part in ("gradients", "state", "average"):
        assert one.get(part, {}).keys() == two.get(part, {}).keys()
        assert all(torch.equal(value, two[part][name]) for name, value in one.get(part, {}).items())


STABLE = [case for case, (model, _) in CASES.items() if model["norm"] == "FrozenBN"]
LAST = ("predictor", "objectness_logits", "anchor_deltas")


def tolerance(name):
    """Part of a gradient. Every mean over all processes is a factor on those of the last layers.

    Further back an activation within rounding of 0 may open or close a ReLU: one of at least 4096
    outputs of a layer, so 1 / sqrt(4096) of a gradient, and what follows from it.
    """
    return 1e-3 if any(part in name for part in LAST) else 5e-2


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_the_whole_batch(runs, case):
    """Through the statistics of a batch too, which enlarge what a ReLU changes: 16 values a channel."""
    alone, (one, _) = runs[case]
    more = 1 if case in STABLE else 4
    assert alone["gradients"].keys() == one["gradients"].keys()
    for name, expected in alone["gradients"].items():
        limit = more * tolerance(name) * expected.norm()
        assert (one["gradients"][name] - expected).norm() <= limit, name


@pytest.mark.parametrize("case", STABLE)
@pytest.mark.parametrize("part", ["state", "average"])
def test_weights_have_moved_as_with_the_whole_batch(runs, case, part):
    """As far as 32 bits hold the sum of a weight and its small steps."""
    alone, (one, _) = runs[case]
    assert alone.keys() == one.keys()
    steps = len(alone["losses"])
    moved = 0
    for name, expected in alone.get(part, {}).items():
        way = (expected - alone["start"][name]).norm()
        stored = 2**-23 * steps * expected.norm()  # half an ulp a step, in either run
        assert (one[part][name] - expected).norm() <= tolerance(name) * way + stored, name
        moved += bool(way > 10 * stored)
    assert moved > 20 or part not in alone


def test_running_statistics_are_those_of_the_whole_batch(runs):
    """On a CPU all but one thing: Detectron2's own norm keeps var, torch's var * n / (n - 1)."""
    alone, (one, _) = runs["synchronised norms"]
    left = 0.9 ** len(alone["losses"])  # of the variance 1 that each norm starts with
    strides = {"stem": 2, "res2": 4, "res3": 8, "res4": 16, "res5": 32}
    for name, expected in alone["state"].items():
        if "running_mean" in name:
            torch.testing.assert_close(one["state"][name], expected, rtol=1e-3, atol=1e-4, msg=name)
        if "running_var" in name:
            stride = strides[name.split(".")[2]]
            count = 4 * (64 // stride) ** 2  # 4 images of 64 pixels
            mine = (one["state"][name] - left) * count / (count - 1) + left
            torch.testing.assert_close(mine, expected, rtol=1e-3, atol=1e-4, msg=name)


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ValueError, match="--num-gpus is 4, but this machine has 2"):
        launch(4, [])
