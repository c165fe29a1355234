"""A process that is killed at any of its calls that write, and files that are damaged afterwards.

While an epoch is saved, copies of the run go on in forked processes: the first is killed at its first call
that changes the disk, the second at its second, and so on. Each different state of the disk is then resumed
and must end as the run that nobody killed.
"""

import builtins
import hashlib
import io
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import paddlex_maskrcnn.engine.train as engine_train
from paddlex_maskrcnn.engine.hooks import EpochEnd
from support.tiny_training import numbers, same, train, weights

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="copies of a process need os.fork"),
]

SETUPS = {
    "sgd": {},
    "adamw, average": {"optimizer": {"name": "AdamW"}, "learning_rate": 1e-3, "ema": 0.8},
    "accumulate, keep last, loss": {"accumulate": 2, "keep_last": 1, "validation_loss": True},
}
KILLED = 9
_NUMBERS = itertools.count()
CALLS = [
    (os, "replace"), (os, "rename"), (os, "fsync"), (os, "unlink"), (os, "rmdir"), (os, "mkdir"),
    (shutil, "rmtree"), (shutil, "copytree"), (shutil, "copyfile"), (torch, "save"),
]  # fmt: skip


def kill_at_call(number: int) -> None:
    """End this process at its call `number`, from 1, that changes the disk; it cannot clean up."""
    left = [number]

    def counted(function: Callable) -> Callable:
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os._exit(KILLED)
            return function(*args, **kwargs)

        return call

    def counted_open(function: Callable) -> Callable:
        stops = counted(function)

        def call(file, mode="r", *args, **kwargs):
            writes = isinstance(mode, str) and set(mode) & set("wax+")
            return (stops if writes else function)(file, mode, *args, **kwargs)

        return call

    for module, name in CALLS:
        setattr(module, name, counted(getattr(module, name)))
    builtins.open = io.open = counted_open(builtins.open)


def copies_killed(action: Callable[[], object], save_dir: Path, copies: Path) -> int:
    """Let forked processes do an action in copies of a folder; returns at how many calls one was killed.

    Args:
        save_dir: relative to the current folder, as the action must name it.
        copies: folder of the copies, one for each process.
    """
    number = 0
    while True:
        number += 1
        place = copies / f"{next(_NUMBERS):05d}"
        shutil.copytree(save_dir, place / save_dir)
        child = os.fork()
        if child == 0:
            os.chdir(place)
            try:
                kill_at_call(number)
                action()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != KILLED:
            return number - 1


def content_of(folder: Path) -> str:
    """A digest of all names and files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if "tensorboard" not in path.parts and path.name != "train.log":
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def different_states(copies: Path) -> dict[str, Path]:
    """A copy of each content; the others go, as each takes a few hundred megabytes."""
    states: dict[str, Path] = {}
    for place in sorted(copies.iterdir()):
        if states.setdefault(content_of(place), place) != place:
            shutil.rmtree(place)
    return states


def assert_same_end(folder: Path, expected: Path) -> None:
    for name in ("epoch_2", "best_model"):
        assert same(weights(folder / name), weights(expected / name)), (folder, name)
    assert numbers(folder) == numbers(expected), folder
    assert not [path.name for path in folder.glob(".*.unfinished")], folder
    assert not [path.name for path in folder.glob(".*.old")], folder


@pytest.mark.parametrize("settings", SETUPS.values(), ids=SETUPS)
def test_killed_at_every_write(tiny_data, tmp_path, monkeypatch, settings):
    monkeypatch.chdir(tmp_path)
    copies = tmp_path / "copies"
    copies.mkdir()
    save = EpochEnd._save
    killed = []

    def save_in_copies(self, *arguments):
        killed.append(copies_killed(lambda: save(self, *arguments), Path("run"), copies))
        save(self, *arguments)

    monkeypatch.setattr(EpochEnd, "_save", save_in_copies)
    train(tiny_data, "run", **settings)
    monkeypatch.setattr(EpochEnd, "_save", save)
    assert len(killed) == 2
    assert min(killed) > 15

    states = different_states(copies)
    print(f"{sum(killed)} calls, {len(states)} different states of the disk")
    resumes = tmp_path / "resumes"
    resumes.mkdir()
    for number, place in enumerate(states.values()):
        monkeypatch.chdir(place)
        if number % 4 == 0:  # killed again, while it puts itself in order
            open_metrics = engine_train._open_metrics

            def in_copies(run, run_id, original=open_metrics):
                copies_killed(lambda: original(run, run_id).close(), Path("run"), resumes)
                return original(run, run_id)

            monkeypatch.setattr(engine_train, "_open_metrics", in_copies)
        train(tiny_data, "run", resume_checkpoint="auto", **settings)
        monkeypatch.setattr(engine_train, "_open_metrics", open_metrics)
        assert_same_end(place / "run", tmp_path / "run")
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(place)
        again = different_states(resumes)
    print(f"{len(again)} different states of the disk after a resume was killed")
    for place in again.values():
        monkeypatch.chdir(place)
        train(tiny_data, "run", resume_checkpoint="auto", **settings)
        assert_same_end(place / "run", tmp_path / "run")
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(place)


def test_each_file_of_each_checkpoint_damaged(tiny_run, tiny_data, tmp_path):
    """Cut off, emptied or removed: the run goes on from the newest whole checkpoint, to the same end."""
    directories = ("epoch_1", "epoch_2", "best_model")
    files = [
        file.relative_to(tiny_run[1])
        for name in directories
        for file in (tiny_run[1] / name).iterdir()
    ]
    assert len(files) == 14
    for number, file in enumerate(files * 3):
        folder = Path(shutil.copytree(tiny_run[1], tmp_path / str(number)))
        damaged = folder / file
        if number < len(files):
            damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
        elif number < 2 * len(files):
            damaged.write_bytes(b"")
        else:
            damaged.unlink()
        train(tiny_data, folder, resume_checkpoint="auto")
        assert_same_end(folder, tiny_run[1])
        shutil.rmtree(folder)
