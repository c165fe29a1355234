"""A saved model: `model.pth`, `model.yml`, `state.pth` and, written last, `.success`.

Everything is written into a directory of a temporary name and renamed, so that a directory that
bears the final name is complete.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import detectron2
import torch
import torchvision

from .. import __version__
from ..config.yaml_io import dump, read
from .network import ModelCard, Network, build_network

SUCCESS = ".success"
WEIGHTS, CARD, STATE = "model.pth", "model.yml", "state.pth"


def save_model_directory(
    directory: Path,
    network: Network,
    *,
    experiment: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
) -> None:
    """Write a model directory, replacing one of that name only when the new one is complete.

    Args:
        directory: its final name.
        network: weights and card.
        experiment: the resolved experiment, for the record.
        state: what resuming needs, of tensors and plain values; without it none is written.
    """
    unfinished = directory.with_name(f".{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    torch.save(_in_usual_layout(network.module.state_dict()), unfinished / WEIGHTS)
    if state is not None:
        torch.save(state, unfinished / STATE)
    card = {**_origin(), **network.card.as_plain(), "experiment": experiment}
    (unfinished / CARD).write_text(dump(card), encoding="utf-8")
    (unfinished / SUCCESS).touch()  # as in PaddleX, but last
    _replace(unfinished, directory)


def _in_usual_layout(state: dict[str, Any]) -> dict[str, Any]:
    """Tensors as other programs expect them, however training has ordered them in memory."""
    return {name: value.contiguous() for name, value in state.items()}


def copy_model_directory(source: Path, target: Path) -> None:
    """A second model directory with the same content, as safely written."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished)
    _replace(unfinished, target)


def load_model_directory(directory: Path, device: str) -> Network:
    """The network of a model directory, in evaluation mode.

    Raises:
        ValueError: when it is no complete model directory, saying what is missing.
    """
    card = read_card(directory)
    network = build_network(card, device)
    network.module.load_state_dict(read_tensors(directory / WEIGHTS))
    network.module.eval()
    return network


def read_card(directory: Path) -> ModelCard:
    """The card of a complete model directory."""
    if not directory.is_dir():
        raise ValueError(f"there is no model directory {directory}")
    for name in (CARD, WEIGHTS, SUCCESS):
        if not (directory / name).is_file():
            raise ValueError(f"{directory} is not a complete saved model: {name} is missing")
    plain, _ = read(directory / CARD)
    if "params" not in plain:
        raise ValueError(f"{directory / CARD} was not written by this program")
    return ModelCard.from_plain(plain)


def read_tensors(path: Path, *, only_look: bool = False) -> dict[str, Any]:
    """A file of tensors and plain values; never runs code from it.

    Args:
        only_look: leave the tensors on disk until they are touched, to read the plain values.
    """
    try:
        # weights_only: no pickled code; on the CPU, as the file may be of a machine with a GPU
        return torch.load(path, map_location="cpu", weights_only=True, mmap=only_look)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing") from error


def _replace(unfinished: Path, final: Path) -> None:
    # rename cannot replace a directory that is not empty; killed in between, `.old` has the former one
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    unfinished.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _origin() -> dict[str, Any]:
    """Versions and commit the weights came from."""
    return {
        "model": "MaskRCNN",
        "version": __version__,
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "detectron2": detectron2.__version__,
        },
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # installed without its repository
