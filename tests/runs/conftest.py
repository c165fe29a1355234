"""Whole runs as users start them: the command line in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from support.tiny_training import SMALL

ROOT = Path(__file__).parents[2]
EXPERIMENT: dict[str, Any] = {
    "model": {**SMALL, "norm": "FrozenBN", "device": "cpu"},
    "data": {
        "train": {"type": "DrawnShapes", "num_images": 12, "image_size": 96, "num_workers": 0},
        "eval": {
            "type": "DrawnShapes", "split": "val", "num_images": 3, "image_size": 96,
            "num_workers": 0,
        },
        "transforms": {
            "train": ["RandomHorizontalFlip", "Normalize", {"ResizeByShort": {"short_size": 64}}],
            "eval": ["Normalize", {"ResizeByShort": {"short_size": 64}}],
        },
    },
    "train": {
        "num_epochs": 2,
        "train_batch_size": 2,
        "pretrain_weights": None,
        "learning_rate": 0.0002,
        "warmup_steps": 3,
        "warmup_start_lr": 0.0,
        "log_interval_steps": 1,
    },
    "predict": {"num_pictures": 0, "report": False},
}  # fmt: skip


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment file whose data is drawn once a session."""
    folder = tmp_path_factory.mktemp("runs")
    content = json.loads(json.dumps(EXPERIMENT))
    for part in ("train", "eval"):
        content["data"][part]["data_dir"] = str(folder / "shapes")
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def start(experiment: Path) -> Callable[..., subprocess.Popen]:
    """Starts `train` on the experiment: start(save_dir, *overrides and flags, processes=1)."""

    def begin(save_dir: Path, *arguments: str, processes: int = 1) -> subprocess.Popen:
        command = [sys.executable, "-W", "ignore", "-m", "paddlex_maskrcnn", "train"]
        command += ["--config", str(experiment), f"train.save_dir={save_dir}", *arguments]
        command += ["--num-gpus", str(processes)] if processes > 1 else []
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    return begin


@pytest.fixture(scope="session")
def run(start: Callable[..., subprocess.Popen]) -> Callable[..., str]:
    """As `start`, to the end: what it printed; the test fails when it does not end well."""

    def finish(save_dir: Path, *arguments: str, processes: int = 1) -> str:
        process = start(save_dir, *arguments, processes=processes)
        printed, _ = process.communicate(timeout=900)
        assert process.returncode == 0, printed
        return printed

    return finish


@pytest.fixture(scope="session")
def trained_alone(run: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in one process, with seed 1 and a page about it."""
    save_dir = tmp_path_factory.mktemp("trained_alone")
    run(save_dir, "train.seed=1", "predict.report=true")
    return save_dir


@pytest.fixture(scope="session")
def metrics() -> Callable[[Path], list[dict]]:
    """The rows of a run's metrics.jsonl without clock and memory."""
    timed = ("seconds_per_step", "data_share", "images_per_second", "memory_mb")

    def read(save_dir: Path) -> list[dict]:
        lines = (save_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]

    return read


@pytest.fixture(scope="session")
def weights() -> Callable[[Path], dict[str, torch.Tensor]]:
    """The tensors of a model directory."""
    return lambda directory: torch.load(directory / "model.pth", weights_only=True)
