"""A saved model: `model.pth`, `model.yml`, `state.pth` and, written last, `.success`.

Of an evaluated epoch `eval_details.json` too.

Everything is written into a directory of a temporary name, brought to the disk and renamed, so that a
directory that bears the final name is complete, whenever the process or the machine stops. `.success` is
empty in PaddleX; here it holds the sizes of the files, by which a file that was cut off later is seen.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import detectron2
import torch
import torchvision

from .. import __version__
from ..config.yaml_io import dump, read
from ..metrics.evaluation import EVAL_DETAILS
from .network import ModelCard, Network, build_network

SUCCESS = ".success"
WEIGHTS, CARD, STATE = "model.pth", "model.yml", "state.pth"
GRAPH = "model.onnx"  # in place of the weights, of an exported model
_UNFINISHED, _OLD = ".unfinished", ".old"


def save_model_directory(
    directory: Path,
    network: Network,
    *,
    experiment: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
    evaluated: Callable[[Path], None] | None = None,
) -> None:
    """Write a model directory, replacing one of that name only when the new one is complete.

    Args:
        directory: its final name.
        network: weights and card.
        experiment: the resolved experiment, for the record.
        state: what resuming needs, of tensors and plain values; without it none is written.
        evaluated: writes EVAL_DETAILS, what an evaluation of the network found, to a path.
    """
    unfinished = _begin(directory)
    unfinished.mkdir(parents=True)
    torch.save(_in_usual_layout(network.module.state_dict()), unfinished / WEIGHTS)
    if state is not None:
        torch.save(state, unfinished / STATE)
    card = {**_origin(), **network.card.as_plain(), "experiment": experiment}
    (unfinished / CARD).write_text(dump(card), encoding="utf-8")
    if evaluated is not None:
        evaluated(unfinished / EVAL_DETAILS)
    _finish(unfinished, directory)


def save_exported_model(
    directory: Path, network: Network, write_graph: Callable[[Path], None]
) -> None:
    """Write the folder of an exported model: its graph and its card, whose status is Infer.

    Args:
        write_graph: writes the file of a path.
    """
    unfinished = _begin(directory)
    unfinished.mkdir(parents=True)
    try:
        write_graph(unfinished / GRAPH)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    card = {**_origin(), "status": "Infer", **network.card.as_plain()}
    (unfinished / CARD).write_text(dump(card), encoding="utf-8")
    _finish(unfinished, directory)


def _in_usual_layout(state: dict[str, Any]) -> dict[str, Any]:
    """Tensors as other programs expect them, however training has ordered them in memory."""
    return {name: value.contiguous() for name, value in state.items()}


def copy_model_directory(source: Path, target: Path) -> None:
    """A second model directory with the same model, as safely written; without the state of its run."""
    unfinished = _begin(target)
    shutil.copytree(source, unfinished, ignore=shutil.ignore_patterns(STATE, SUCCESS))
    _finish(unfinished, target)


def load_model_directory(directory: Path, device: str) -> Network:
    """The network of a model directory, in evaluation mode.

    Raises:
        ValueError: when it is no complete model directory, saying what is missing or damaged.
    """
    card = read_card(directory)
    network = build_network(card, device)
    tensors = read_tensors(directory / WEIGHTS)
    try:
        network.module.load_state_dict(tensors)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{directory / WEIGHTS} does not hold the weights of the network of {CARD}: {error}"
        ) from error
    network.module.eval()
    return network


def is_exported(directory: Path) -> bool:
    """Whether a folder is one of `save_exported_model`."""
    return (directory / GRAPH).is_file() and not (directory / WEIGHTS).exists()


def read_card(directory: Path, model: str = WEIGHTS) -> ModelCard:
    """The card of a complete model directory.

    Args:
        model: what the model itself is in, WEIGHTS or GRAPH.

    Raises:
        ValueError: when it is no complete model directory, or the card is not ours.
    """
    if not directory.is_dir():
        raise ValueError(f"there is no model directory {directory}")
    if model == WEIGHTS and is_exported(directory):
        raise ValueError(
            f"{directory} is an exported model, without weights to train or evaluate: predict with "
            "pdx.deploy.Predictor, or name the model directory it was exported from"
        )
    for name in (CARD, model, SUCCESS):
        if not (directory / name).is_file():
            raise ValueError(f"{directory} is not a complete saved model: {name} is missing")
    for name, size in _recorded_sizes(directory).items():
        path = directory / name
        if not path.is_file() or path.stat().st_size != size:
            now = f"has {path.stat().st_size} bytes" if path.is_file() else "is missing"
            raise ValueError(f"{directory} is damaged: {name} {now}; saved were {size}")
    plain, _ = read(directory / CARD)
    if "params" not in plain:
        raise ValueError(f"{directory / CARD} was not written by this program")
    try:
        return ModelCard.from_plain(plain)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{directory / CARD} is damaged, or not of this program: {type(error).__name__}: {error}"
        ) from error


def read_tensors(path: Path, *, only_look: bool = False) -> dict[str, Any]:
    """A file of tensors and plain values; never runs code from it.

    Args:
        only_look: leave the tensors on disk until they are touched, to read the plain values.

    Raises:
        ValueError: when it is missing, damaged, or not a file of tensors by name.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    problem = _problem_of_archive(path)
    if problem:
        raise ValueError(f"{path} cannot be used: {problem}")
    try:
        # weights_only: no pickled code; on the CPU, as the file may be of a machine with a GPU
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=only_look)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        OSError,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        if "GLOBAL" in str(error):  # the reader's word for a class or function by name
            raise ValueError(
                f"{path} cannot be used: it holds Python objects other than tensors and plain values, "
                "which are not loaded, since they may run code"
            ) from error
        raise ValueError(
            f"{path} cannot be used: it is damaged, or was not written by torch.save "
            f"({_first_line(error)})"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} cannot be used: it holds no tensors by name")
    return content


def damage_of(directory: Path) -> str:
    """Why a checkpoint cannot be resumed from; empty when every byte of it is as it was saved."""
    try:
        read_card(directory)
        for name in (WEIGHTS, STATE):
            path = directory / name
            if not path.is_file():
                return f"{name} is missing"
            problem = _problem_of_archive(path, every_byte=True)
            if problem:
                return f"{name}: {problem}"
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def interrupted_saves(folder: Path) -> Iterator[tuple[Path, Path]]:
    """(complete directory under a temporary name, the name it is for) of saves that were cut off.

    A process that is killed between two renames leaves the new directory, and perhaps the old one,
    but none of the final name.
    """
    for suffix in (_UNFINISHED, _OLD):  # the newer first
        for directory in sorted(folder.glob(f".*{suffix}")):
            final = directory.with_name(directory.name[1:].removesuffix(suffix))
            if (directory / SUCCESS).is_file() and not final.exists():
                yield directory, final


def finish_interrupted_saves(folder: Path) -> None:
    """Give complete directories their names, and take the leftovers of killed saves away."""
    for directory, final in list(interrupted_saves(folder)):
        if not final.exists():
            directory.rename(final)
            _sync(folder)
    for suffix in (_UNFINISHED, _OLD):
        for directory in folder.glob(f".*{suffix}"):
            shutil.rmtree(directory, ignore_errors=True)


def _begin(directory: Path) -> Path:
    """The temporary name of a directory that is going to be written; nothing bears it.

    Raises:
        ValueError: when something else than a model would have to make room.
    """
    is_free = not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))
    # damaged ones are replaced too
    is_model = any((directory / name).exists() for name in (CARD, WEIGHTS, STATE, SUCCESS, GRAPH))
    if not is_free and not is_model:
        raise ValueError(
            f"{directory} is there and is no saved model: name a folder that does not exist, or an empty "
            "one; nothing was written"
        )
    unfinished = directory.with_name(f".{directory.name}{_UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)
    return unfinished


def _finish(unfinished: Path, final: Path) -> None:
    """Bring a directory to the disk and give it its name; killed in between, the former one is `.old`."""
    files = [path for path in unfinished.rglob("*") if path.is_file()]
    # the details of an evaluation may be taken away, which leaves a whole model
    sizes = {path.name: path.stat().st_size for path in files if path.name != EVAL_DETAILS}
    for path in (*files, unfinished):
        _sync(path)
    # as in PaddleX, but last: what it names is on the disk
    (unfinished / SUCCESS).write_text(json.dumps(sizes), encoding="utf-8")
    _sync(unfinished / SUCCESS)
    _sync(unfinished)
    _replace(unfinished, final)
    _sync(final.parent)


def _replace(unfinished: Path, final: Path) -> None:
    # rename cannot replace a directory that is not empty
    old = final.with_name(f".{final.name}{_OLD}")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    unfinished.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    if os.name == "nt" and path.is_dir():  # Windows has no such thing for folders
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _recorded_sizes(directory: Path) -> dict[str, int]:
    """Sizes of the files in bytes; none for directories of earlier versions."""
    try:
        sizes = json.loads((directory / SUCCESS).read_bytes() or b"{}")
    except (OSError, ValueError):
        return {}
    return sizes if isinstance(sizes, dict) else {}


def _problem_of_archive(path: Path, *, every_byte: bool = False) -> str:
    """What is wrong with a file of torch.save, a zip archive that is not compressed; empty if nothing.

    Args:
        every_byte: compare checksums too, which reads the whole file.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            begins_as_archive = file.read(4) in (b"PK\x03\x04", b"")
        # torch's format before 1.6 is no archive; its reader says what is wrong with other files
        return "it is empty or cut off" if begins_as_archive or every_byte else ""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                return "it is compressed, which torch.save never does; unpack it first"
            damaged = archive.testzip() if every_byte else None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        return f"it is damaged ({_first_line(error)})"
    return f"its part {damaged} is damaged" if damaged else ""


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


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
